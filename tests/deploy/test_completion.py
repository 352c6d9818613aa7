"""Tests of the shell completion: up to date with the parser, and used by a real bash."""

import importlib.util
import subprocess

import pytest
from fake_machine import ROOT

BASH = """
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
_shtab_earshot earshot "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(folder, *words):
    """Return what bash proposes for the last of some words."""
    script = ROOT / "deploy" / "completion" / "earshot.bash"
    command = ["bash", "-c", BASH, "bash", script, "earshot", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.split()


def test_the_files_are_up_to_date():
    """The files are generated from the parser: run `make schemas` after a change."""
    spec = importlib.util.spec_from_file_location("make_completion", ROOT / "deploy" / "make_completion.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for shell, name in module.FILES.items():
        assert (module.FOLDER / name).read_text(encoding="utf-8") == module.text(shell)


@pytest.mark.parametrize(
    ("words", "proposed"),
    [
        (["hi"], ["history"]),
        (["history", "--si"], ["--since"]),
        (["history", "--by", ""], ["hour", "day"]),
        (["clips", ""], ["list", "play", "export", "purge"]),
        (["clips", "list", "--config", "my"], ["my.yaml"]),
        (["classify", "do"], ["dog.wav"]),
        (["run", "--config", "my"], ["my.yaml"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_bash_completes(tmp_path, words, proposed):
    """Subcommands, options, their values and file names are completed."""
    for name in ("dog.wav", "my.yaml"):
        (tmp_path / name).touch()
    assert complete(tmp_path, *words) == proposed
