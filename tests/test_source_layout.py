"""Tests of the source's layout: docstrings, length and place of each module."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 250
"""Lines of a module."""
TOP_LEVEL = {
    "device/__init__.py",
    "device/__main__.py",
    "device/errors.py",
    "device/pipeline.py",
    "device/recordings.py",
    "device/types.py",
    "training/__init__.py",
}
"""Modules beside the packages."""
RIDDLES = {"What", "How", "Whether", "That", "Where", "So", "As", "Who", "Which"}
"""Words that open a clause in place of a noun."""


def modules(*folders):
    """Return the paths of all modules below some folders, relative to the root."""
    paths = (path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path.as_posix() for path in paths)


OURS = modules("device", "training")


def imports(path):
    """Yield the name of each module that a module imports."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", OURS)
def test_the_docstring_of_a_module_opens_with_a_noun(path):
    """A module's docstring names the thing: a sentence that opens with a capital letter or a command, and no clause."""
    docstring = ast.get_docstring(ast.parse((ROOT / path).read_text())) or ""
    summary = docstring.partition("\n")[0]
    assert re.fullmatch(r"[A-Z`].*\.", summary), summary
    assert re.match(r"\W*(\w+)", summary)[1] not in RIDDLES, summary


@pytest.mark.parametrize("path", modules("device", "training", "tests"))
def test_a_module_is_short(path):
    """A module has at most 250 lines; a longer one has two tasks."""
    assert len((ROOT / path).read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", OURS)
def test_a_module_belongs_to_a_package(path):
    """No module lies directly in device/ or training/ except the few that join the packages or serve all of them."""
    assert path.count("/") >= 2 or path in TOP_LEVEL


@pytest.mark.parametrize("path", modules("device"))
def test_scipy_signal_is_not_imported(path):
    """The device uses scipy.fft, because scipy.signal takes 0.65 s to import (import-linter treats them as one)."""
    assert not any(name.startswith("scipy.signal") for name in imports(path))
