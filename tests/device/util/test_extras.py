"""Tests of the command that installs extras."""

import subprocess
import sys
from pathlib import Path

from device.util.extras import install_command


def test_the_command_needs_no_index_for_earshot_itself(monkeypatch, tmp_path):
    """The command extends the Earshot of this environment; PyPI's project of the same name is never asked for."""
    monkeypatch.chdir(tmp_path)
    command = install_command("web", "notify")
    result = subprocess.run(
        f"{command} --dry-run --no-index --quiet", shell=True, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "")


def test_the_path_of_pip_is_relative_where_that_is_shorter(monkeypatch, tmp_path):
    """In a clone, the command is the one of the README; elsewhere, it has the whole path."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "my clone" / ".venv"))
    monkeypatch.chdir(Path(sys.prefix).parent.parent)
    assert install_command("web") == "'my clone/.venv/bin/pip' install 'earshot[web]'"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert install_command("web") == f"'{tmp_path}/my clone/.venv/bin/pip' install 'earshot[web]'"
