"""End-to-end tests of live values: the real daemon as a process, a real broker, a real subscriber, a real browser."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import CHROMIUM, Browser
from jsonschema import Draft202012Validator
from support import Mosquitto, Peer, free_port, is_open, wait_until

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "docs" / "schemas" / "live.schema.json"
LIGHT = ROOT / "models" / "urbansound8k-light"
LIVE, COMMAND = "earshot/test/live", "earshot/test/command/live"


@pytest.fixture(scope="module")
def node(tmp_path_factory, demo_recording):
    """Run broker and daemon, on the demo's recording in real time; return broker, peer and state directory."""
    folder = tmp_path_factory.mktemp("node")
    samples, rate = soundfile.read(demo_recording, dtype="int16")
    soundfile.write(folder / "long.flac", np.tile(samples, 5), rate)
    broker = Mosquitto(folder)
    broker.start()
    peer = Peer(broker)
    command = [sys.executable, "-m", "device", "run", "--input", folder / "long.flac", "--speed", "realtime"]
    command += ["--set", f"mqtt.port={broker.port}", "--set", "node_id=test", "--set", f"model.bundle={LIGHT}"]
    daemon = subprocess.Popen(command, env={**os.environ, "STATE_DIRECTORY": str(folder)})
    peer.until("earshot/test/status", b"online", 60)
    yield broker, peer, folder
    daemon.terminate()
    daemon.wait(20)
    peer.close()
    broker.close()


def test_live_values_last_as_long_as_asked_for(node):
    """A command in answer to `online` starts them at once; they come at most twice a second, and end by themselves."""
    _, peer, _ = node
    assert peer.payloads(LIVE) == []
    peer.publish(COMMAND, b"4")
    wait_until(lambda: len(peer.payloads(LIVE)) >= 4, 10, "four messages")
    wait_until(lambda: _age(peer) > 2, 10, "the end of the live values")
    messages = [json.loads(payload) for payload in peer.payloads(LIVE)]
    for message in messages:
        Draft202012Validator(json.loads(SCHEMA.read_text())).validate(message)
    times = [datetime.fromisoformat(message["time"]).timestamp() for message in messages]
    assert times[-1] - times[0] < 4
    assert np.diff(times).min() > 0.49
    assert all(message.qos == 0 and not message.retain for message in peer.messages if message.topic == LIVE)
    assert [message["level_db"] > -100 for message in messages] == [True] * len(messages)
    peer.publish(COMMAND, b"lots")
    peer.publish(COMMAND, b"")
    wait_until(lambda: len(peer.payloads(LIVE)) > len(messages), 5, "a message after the default request")
    peer.publish(COMMAND, b"OFF")
    wait_until(lambda: _age(peer) > 2, 10, "the end of the live values")


@pytest.fixture
def page(node):
    """Run `earshot web`; return its address."""
    broker, _, folder = node
    port = free_port()
    command = [sys.executable, "-m", "device", "web", "--port", str(port)]
    command += ["--set", f"mqtt.port={broker.port}", "--set", "node_id=test"]
    process = subprocess.Popen(command, env={**os.environ, "STATE_DIRECTORY": str(folder)})
    wait_until(lambda: is_open(port), 30, "the page")
    yield f"http://127.0.0.1:{port}/"
    process.terminate()
    process.wait(20)


@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium")
def test_a_browser_shows_the_level_while_somebody_looks(node, page, tmp_path):
    """A visible tab shows level, gate and nearest labels; a hidden one asks for nothing. None of it is read out."""
    _, peer, _ = node
    before = len(peer.payloads(COMMAND))
    with closing(Browser(tmp_path / "browser", page)) as browser:
        browser.wait_for("!!document.querySelector('#live .measured:not([hidden])')")
        assert peer.payloads(COMMAND)[before:] == [b"30"]
        browser.wait_for("Number(document.querySelector('#live .value').getAttribute('width')) > 0")
        browser.wait_for("/^-\\d+ dBFS\\(A\\)$/.test(document.querySelector('.level-now').textContent)")
        browser.wait_for("/since \\d\\d:\\d\\d:\\d\\d/.test(document.querySelector('.gate-now').textContent)")
        browser.wait_for("document.querySelectorAll('.nearest li:not([hidden])').length === 3")
        assert browser.evaluate("!document.querySelector('.measured').closest('[role=status], [aria-live]')")
        shown = browser.evaluate("document.querySelector('.nearest .number').textContent")
        assert re.fullmatch(r"\d+ %, threshold \d+ %", shown)
        for hidden in ("true", "false"):
            browser.evaluate(f"Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}})")
            browser.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            time.sleep(1)
        wait_until(lambda: len(peer.payloads(COMMAND)) == before + 2, 10, "the request of the shown tab")


def _age(peer):
    """Return the time since the last live message, s."""
    return time.time() - datetime.fromisoformat(json.loads(peer.last(LIVE))["time"]).timestamp()
