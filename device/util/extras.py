"""Extras of the package: optional dependencies, and the command that installs them."""

import shlex
import sys
from pathlib import Path


def install_command(*extras: str) -> str:
    """Return the shell command that installs extras into the environment of this process.

    The command contains the path of that environment's pip, relative to the working directory where that is shorter.
    PyPI has another project of this name, which the pip of another environment would install.
    """
    pip = Path(sys.prefix, "bin", "pip")
    if pip.is_relative_to(Path.cwd()):
        pip = pip.relative_to(Path.cwd())
    return f"{shlex.quote(str(pip))} install 'earshot[{','.join(extras)}]'"
