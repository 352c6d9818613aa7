"""Tests of deploy/requirements.txt, the packages that the installer installs."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_the_pinned_packages_satisfy_the_project(python):
    """Each dependency has one version in deploy/requirements.txt, for the Python of Bookworm and of Trixie."""
    machine = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    machine["platform_machine"] = "aarch64"

    def applicable(lines):
        requirements = [Requirement(line) for line in lines if not line.startswith("#")]
        return [each for each in requirements if each.marker is None or each.marker.evaluate(machine)]

    pinned = {}
    for requirement in applicable((ROOT / "deploy" / "requirements.txt").read_text().splitlines()):
        name, (specifier,) = canonicalize_name(requirement.name), requirement.specifier
        assert specifier.operator == "=="
        assert name not in pinned
        pinned[name] = specifier.version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for dependency in applicable([*project["dependencies"], *extras["web"], *extras["notify"]]):
        version = pinned.get(canonicalize_name(dependency.name), "none")
        assert version in dependency.specifier, (
            f"{dependency} is {version} in deploy/requirements.txt: generate it again"
        )
    assert "ai-edge-litert" in pinned
    assert "tflite-runtime" not in pinned


def test_32_bit_arm_has_the_older_runtime():
    """On 32-bit ARM, the project needs tflite-runtime with numpy 1, and no ai-edge-litert."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {
        canonicalize_name(each.name): each.specifier
        for each in map(Requirement, project["dependencies"])
        if each.marker is None or each.marker.evaluate({"platform_machine": "armv7l"})
    }
    assert "2.14.0" in needed["tflite-runtime"]
    assert "2.0.0" not in needed["numpy"]
    assert "ai-edge-litert" not in needed
