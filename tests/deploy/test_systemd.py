"""Tests of the systemd units: validity, confinement, instances."""

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
MAXIMUM_EXPOSURE = 1.5
"""Exposure of `systemd-analyze security`, 0 (confined) to 10."""

needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
each_unit = pytest.mark.parametrize(
    "name", ["earshot.service", "earshot@.service", "earshot-web.service", "earshot-notify.service"]
)


def lines(name):
    """Return the lines of a unit without comments."""
    text = (UNITS / name).read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def setting(name, key):
    """Return the one value of a key in a unit."""
    (value,) = (line.partition("=")[2] for line in lines(name) if line.startswith(f"{key}="))
    return value


@pytest.fixture
def installed(tmp_path):
    """Return a function that copies a unit, with a program that exists on this machine."""

    def install(name):
        unit = tmp_path / name.replace("@", "@garden")
        unit.write_text((UNITS / name).read_text().replace(PROGRAM, sys.executable))
        return unit

    return install


@needs_systemd_analyze
@each_unit
def test_the_unit_is_valid(installed, name):
    """systemd-analyze reports nothing about the unit."""
    unit = installed(name)
    result = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert unit.name not in result.stdout + result.stderr


@needs_systemd_analyze
@each_unit
def test_the_unit_is_confined(installed, name):
    """The exposure of the unit, as measured by systemd-analyze, is at most 1.5 of 10."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", installed(name)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    exposure = re.search(r"Overall exposure level for .*: ([0-9.]+)", output)
    assert float(exposure[1]) <= MAXIMUM_EXPOSURE, output


def test_an_instance_differs_from_the_service_by_its_name():
    """The template has the lines of the plain unit, except those that contain the name of the instance."""
    instance_lines = {
        "Description=Earshot sound sensor": 'Description=Earshot sound sensor, microphone "%i"',
        f"ExecStart={PROGRAM} run --config /etc/earshot/config.yaml": (
            f"ExecStart={PROGRAM} run --config /etc/earshot/%i.yaml"
        ),
        "StateDirectory=earshot": "StateDirectory=earshot-%i",
        "LoadCredential=stream_url:earshot.stream_url": "LoadCredential=stream_url:earshot-%i.stream_url",
    }
    node = "Environment=EARSHOT_NODE_ID=%l-%i"
    template = [line for line in lines("earshot@.service") if line != node]
    assert template == [instance_lines.get(line, line) for line in lines("earshot.service")]


@pytest.mark.parametrize(("name", "binds"), [("earshot-web.service", True), ("earshot-notify.service", False)])
def test_a_companion_has_the_confinement_of_the_daemon(name, binds):
    """Page and notifications have each restriction of the daemon's; only the page may bind a port."""
    restriction = re.compile(
        "Protect|Private|Restrict|Capability|Ambient|NoNew|Lock|SystemCall|Memory(Deny)|UMask|Dynamic"
    )
    daemon, companion = lines("earshot.service"), lines(name)
    assert [line for line in daemon if restriction.match(line) and line not in companion] == []
    assert "SocketBindDeny=any" in daemon
    assert "SocketBindDeny=any" in companion
    assert not any(line.startswith("SocketBindAllow") for line in daemon)
    assert any(line.startswith("SocketBindAllow") for line in companion) == binds
    assert "PrivateDevices=yes" in companion  # no microphone


def test_two_instances_run_at_the_same_time(mosquitto, peer, bundle_path, tmp_path):
    """Two instances, started with the unit's command, have a node each; when one ends, the other stays online."""
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
