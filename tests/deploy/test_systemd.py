"""The units: what systemd says of them, how they hold together, and what the command in them does."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import wait_until

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
PROGRAM = "/opt/earshot/current/.venv/bin/earshot"
MOST_EXPOSURE = 1.5
"""On the scale of `systemd-analyze security`, 0 (locked away) to 10."""

needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
each_unit = pytest.mark.parametrize("name", ["earshot.service", "earshot@.service"])


def lines(name):
    """The lines of a unit that systemd reads."""
    text = (UNITS / name).read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def setting(name, key):
    (value,) = (line.partition("=")[2] for line in lines(name) if line.startswith(f"{key}="))
    return value


@pytest.fixture
def installed(tmp_path):
    """Put a unit where systemd-analyze takes it, with a program that is on this machine."""

    def install(name):
        unit = tmp_path / name.replace("@", "@garden")
        unit.write_text((UNITS / name).read_text().replace(PROGRAM, sys.executable))
        return unit

    return install


@needs_systemd_analyze
@each_unit
def test_systemd_understands_the_unit(installed, name):
    """Nothing in the unit is unknown to systemd or misspelt; only the program is not installed here."""
    unit = installed(name)
    said = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert unit.name not in said.stdout + said.stderr


@needs_systemd_analyze
@each_unit
def test_the_unit_is_confined(installed, name):
    """What the service could do, by systemd's own measure, is OK, and well within that."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", installed(name)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    exposure = re.search(r"Overall exposure level for .*: ([0-9.]+)", said)
    assert float(exposure[1]) <= MOST_EXPOSURE, said


def test_an_instance_is_the_service_with_a_name():
    """The template has the lines of the plain unit, but for what an instance has of its own."""
    own = {
        "Description=Earshot sound sensor": 'Description=Earshot sound sensor, microphone "%i"',
        f"ExecStart={PROGRAM} run --config /etc/earshot/config.yaml": (
            f"ExecStart={PROGRAM} run --config /etc/earshot/%i.yaml"
        ),
        "StateDirectory=earshot": "StateDirectory=earshot-%i",
    }
    node = "Environment=EARSHOT_NODE_ID=%l-%i"
    template = [line for line in lines("earshot@.service") if line != node]
    assert template == [own.get(line, line) for line in lines("earshot.service")]


def test_two_instances_live_side_by_side(mosquitto, peer, bundle_path, tmp_path):
    """Two instances, started as the unit does, have a node each; one that ends leaves the other online."""
    _, *arguments = shlex.split(setting("earshot@.service", "ExecStart"))
    garden, street = "earshot/attic-garden/status", "earshot/attic-street/status"
    processes = {}
    try:
        for name in ("garden", "street"):
            config = tmp_path / f"{name}.yaml"
            config.write_text(
                f"mqtt: {{port: {mosquitto.port}}}\naudio: {{device: none such}}\nmodel: {{bundle: {bundle_path}}}\n"
            )
            command = [part.replace("/etc/earshot", str(tmp_path)).replace("%i", name) for part in arguments]
            node = setting("earshot@.service", "Environment").replace("%l", "attic").replace("%i", name)
            variable, node = node.split("=")
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
