"""Packages of the extra `training`, which the device does without."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from device.errors import UnavailableError
from device.util.extras import install_command

_PACKAGES = {
    "jinja2": "jinja2",
    "matplotlib": "matplotlib",
    "requests": "requests",
    "sklearn": "scikit-learn",
    "tensorflow": "TensorFlow",
    "tqdm": "tqdm",
}
"""Names of the packages by the module that each provides."""


def check_extra(find: Callable[[str], Any] = find_spec) -> None:
    """Check that all packages are installed, before the first step: some are needed only after hours.

    Args:
        find: returns None for a module that is not installed. No module is imported.

    Raises:
        UnavailableError: some are missing; all of them are named.
    """
    missing = [name for module, name in _PACKAGES.items() if find(module) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise UnavailableError(
            f"{', '.join(missing)} {verb} not installed, and training needs it: {install_command('training')}"
        )
