"""Generator of the shell completion in deploy/completion, from the parser: python deploy/make_completion.py.

Static scripts start no Python at each press of the Tab key, and the device needs no further package.
"""

from pathlib import Path

import shtab

from device.cli.parser import make_parser

FOLDER = Path(__file__).resolve().parent / "completion"
FILES = {"bash": "earshot.bash", "zsh": "_earshot", "fish": "earshot.fish"}
"""File of each shell, with the name that the shell looks for, except bash, which looks for `earshot`."""


def text(shell: str) -> str:
    """Return the content of a shell's file."""
    completion: str = shtab.complete(make_parser(), shell)
    return completion


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for shell, name in FILES.items():
        (FOLDER / name).write_text(text(shell), encoding="utf-8")
