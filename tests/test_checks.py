"""Tests of the checks themselves: the same commands everywhere, and import layers that hold."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
LINT_IMPORTS = Path(sys.executable).parent / "lint-imports"


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


@pytest.fixture
def project(tmp_path):
    """Copy the source of both packages, and the contracts."""
    for package in ("device", "training"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken_contracts(project):
    """Return what lint-imports reports, and the names of the broken contracts."""
    done = subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--no-cache"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project), "COLUMNS": "200"},
        check=False,
        capture_output=True,
        text=True,
    )
    broken = re.findall(r"^(.*) BROKEN$", done.stdout, re.MULTILINE)
    assert done.returncode == (1 if broken else 0), done.stdout + done.stderr
    return done.stdout, broken


def test_the_import_layers_hold(project):
    """The source as it is breaks no contract."""
    report, broken = broken_contracts(project)
    assert broken == [], report


@pytest.mark.parametrize(
    ("importer", "imported", "contract"),
    [
        ("device.config.models", "device.mqtt.messages", "Layers of device"),
        ("device.errors", "device.util.text", "Layers of device"),
        ("device.notify.rules", "device.web.metrics", "Layers of device"),
        ("device.outbox.queue", "device.detection.gate", "Layers of device"),
        ("device.pipeline", "device.service.daemon", "Layers of device"),
        ("device.mqtt.messages", "training.data.dataset", "device runs without training and its packages"),
        ("device.model.classifier", "tensorflow", "device runs without training and its packages"),
        ("device.audio.resampling", "librosa", "device runs without training and its packages"),
        ("training.data.dataset", "training.workflow.run", "Layers of training"),
        ("training.evaluation.metrics", "device.mqtt.messages", "training uses of device what it judges"),
        ("training.data.dataset", "device.outbox.queue", "training uses of device what it judges"),
    ],
)
def test_an_import_against_the_layers_fails(project, importer, imported, contract):
    """An import of a package above, of a package beside, or of a forbidden one is reported with its contract."""
    path = (project / importer.replace(".", "/")).with_suffix(".py")
    with path.open("a") as module:
        module.write(f"\nimport {imported}\n")
    report, broken = broken_contracts(project)
    assert contract in broken
    assert f"{importer} -> {imported}" in report


def test_a_new_package_needs_a_layer(project):
    """A package that is in no layer is reported, so that none stays outside the contract."""
    (project / "device" / "radio").mkdir()
    (project / "device" / "radio" / "__init__.py").write_text("")
    report, broken = broken_contracts(project)
    assert "Layers of device" in broken
    assert "radio" in report
