"""Tests of `earshot web` as users start it: a process, a broker, a browser's requests."""

import json
import signal
import subprocess
import sys

import httpx
import pytest
from history_events import end_message, write_history
from support import free_port, wait_until

from device.cli.main import main
from device.config.models import WebConfig
from device.config.secrets import read_token
from device.errors import ConfigError


@pytest.fixture
def start_page(tmp_path):
    """Return a function that starts the command, and stops it at the end."""
    processes = []

    def start(*arguments):
        command = [sys.executable, "-m", "device", "web", "-c", str(tmp_path / "config.yaml"), *arguments]
        environment = {"STATE_DIRECTORY": str(tmp_path), "PATH": "/usr/bin:/bin"}
        processes.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def write_config(tmp_path, token):
    """Return a function that writes the config file and the file of the token."""

    def write(web="", port=1):
        (tmp_path / "token").write_text(f"{token}\n")
        (tmp_path / "config.yaml").write_text(
            f"node_id: test\nmqtt: {{port: {port}}}\nweb: {{token_file: token{web}}}\n"
        )

    return write


def answers(address):
    """Return True if the page answers."""
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False


def test_the_page_beside_a_broker(start_page, write_config, mosquitto, peer, bearer, tmp_path):
    """The page shows live values as they are published, sends a command, and ends at once while someone looks."""
    write_history(tmp_path / "history.db", [end_message()])
    write_config(port=mosquitto.port)
    port = free_port()
    page = start_page("--port", str(port))
    address = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{address}/login"), 30, "the start of the page")
    for topic, payload in (("status", "online"), ("sound/siren", "ON"), ("threshold/siren", "0.5")):
        peer.publish(f"earshot/test/{topic}", payload, retain=True)
    with httpx.stream("GET", f"{address}/live") as live:
        values = (json.loads(line.removeprefix("data: ")) for line in live.iter_lines() if line.startswith("data:"))
        assert any(each["online"] and each["sounding"] == ["siren"] for each in values)
        wait_until(lambda: 'id="t-siren"' in httpx.get(f"{address}/thresholds").text, 10, "the threshold")
        change = {"slug": "siren", "value": "0.6"}
        assert httpx.post(f"{address}/thresholds", data=change, headers=bearer).status_code == 303
        peer.until("earshot/test/command/threshold/siren", b"0.6", 10)
        event = {"type": "start", "label": "siren"}
        peer.publish("earshot/test/event", json.dumps(event))
        counted = 'earshot_events_total{label="siren"} 1'
        wait_until(lambda: counted in httpx.get(f"{address}/metrics").text, 10, "the metric")
        page.send_signal(signal.SIGTERM)
        assert page.wait(10) == 0


def test_without_a_broker_the_page_shows_the_history(start_page, write_config, bearer, tmp_path):
    """Without a broker the history is shown, the health page gives the reason, and a command fails with a message."""
    write_history(tmp_path / "history.db", [end_message()])
    port = free_port()
    write_config(port=free_port())
    start_page("--port", str(port))
    address = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(address), 30, "the start of the page")
    assert "does not answer" in httpx.get(f"{address}/health").text
    change = {"event_id": "x", "label": "siren"}
    event_id = "0" * 8 + "-0000-0000-0000-" + "0" * 12
    response = httpx.post(f"{address}/events/{event_id}/correct", data=change, headers=bearer)
    assert response.status_code == 503
    assert "the broker is away" in response.text


@pytest.mark.parametrize(
    ("web", "code", "message"),
    [
        (", token_file: null, host: 0.0.0.0", 78, "has no token"),
        (", token_file: null, hosts: [pi.local]", 78, "has no token"),
        (", host: pi.local", 78, "must be an address of this machine"),
        (", hosts: ['http://pi.local']", 78, "must be names of hosts alone"),
        (", host: 192.0.2.1", 69, "cannot be used"),
    ],
)
def test_a_fault_is_one_line_with_its_cure(write_config, tmp_path, capsys, web, code, message):
    """A page that others could read without a token, and an address that is none, are refused in one line."""
    write_config(web)
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text().replace("token_file: token, token_file", "token_file"))
    assert main(["web", "-c", str(path)]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize("content", ["short", "", "ä" * 20, "a b\tc" + "d" * 20])
def test_a_weak_token_is_refused(tmp_path, content):
    """A token that can be guessed, or that no header can carry, is refused without being printed."""
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(ConfigError) as refusal:
        read_token(WebConfig(token_file=path))
    assert not content or content not in str(refusal.value)
