"""Tests of the checks themselves: the same commands everywhere."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def recipe(target):
    """Return the commands of a target of the Makefile."""
    lines = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    return [line.replace("$(BIN)", ".venv/bin") for line in re.findall(r"\t(.*)", lines) if not line.startswith("@")]


def test_the_commit_hooks_are_the_commands_of_make_check():
    """pre-commit runs the same commands as `make check`, in the same order, on the whole project."""
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in repository["hooks"]] == recipe("check")
    assert all(hook["always_run"] and not hook["pass_filenames"] for hook in repository["hooks"])


def test_ci_runs_make_check():
    """CI runs `make test`, which begins with `make check`."""
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make test"
    assert re.search(r"^test: check ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_tools_are_installed_by_make_test():
    """Every tool of `make check` is one of the packages of the extra `test`."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    packages = {re.match(r"[\w-]+", requirement)[0] for requirement in extras["test"]}
    tools = {Path(command.split()[0]).name for command in recipe("check")}
    assert {{"lint-imports": "import-linter"}.get(tool, tool) for tool in tools} <= packages
