"""The template unit: what systemd says of it, and what the command in it does."""

import shlex
import shutil
import signal
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest
from support import wait_until

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "earshot@.service"


def service() -> dict[str, str]:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(UNIT)
    return dict(parser["Service"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit(tmp_path):
    """Nothing in the unit is unknown to systemd or misspelt; only the program is not installed here."""
    unit = tmp_path / "earshot@garden.service"
    unit.write_text(UNIT.read_text().replace("/opt/earshot/.venv/bin/earshot", sys.executable))
    said = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert unit.name not in said.stdout + said.stderr


def test_two_instances_live_side_by_side(mosquitto, peer, bundle_path, tmp_path):
    """Two instances, started as the unit does, have a node each; one that ends leaves the other online."""
    _, *arguments = shlex.split(service()["ExecStart"])
    garden, street = "earshot/attic-garden/status", "earshot/attic-street/status"
    processes = {}
    try:
        for name in ("garden", "street"):
            config = tmp_path / f"{name}.yaml"
            config.write_text(
                f"mqtt: {{port: {mosquitto.port}}}\naudio: {{device: none such}}\nmodel: {{bundle: {bundle_path}}}\n"
            )
            command = [part.replace("/etc/earshot", str(tmp_path)).replace("%i", name) for part in arguments]
            variable, node = service()["Environment"].replace("%l", "attic").replace("%i", name).split("=")
            environment = {variable: node, "STATE_DIRECTORY": str(tmp_path / name), "PATH": "/usr/bin:/bin"}
            processes[name] = subprocess.Popen([sys.executable, "-m", "device", *command], env=environment)

        wait_until(lambda: peer.last(garden) == peer.last(street) == b"online", 60, "both online")
        processes["garden"].send_signal(signal.SIGTERM)
        assert processes["garden"].wait(30) == 0
        peer.until(garden, b"offline", 30)
        assert peer.last(street) == b"online"
    finally:
        for process in processes.values():
            process.kill()
