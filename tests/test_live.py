"""End-to-end test of live values: the real daemon as a process, a real broker, a real subscriber."""

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from support import wait_until

pytestmark = pytest.mark.slow
SCHEMA = Path(__file__).resolve().parent.parent / "docs" / "schemas" / "live.schema.json"
LIVE, COMMAND = "earshot/test/live", "earshot/test/command/live"


@pytest.fixture
def daemon(mosquitto, peer, demo_recording, bundle_path, tmp_path):
    """Run the daemon on the demo's recording in real time."""
    command = [sys.executable, "-m", "device", "run", "--input", demo_recording, "--speed", "realtime"]
    command += ["--set", f"mqtt.port={mosquitto.port}", "--set", "node_id=test"]
    process = subprocess.Popen(command, env={**os.environ, "STATE_DIRECTORY": str(tmp_path)})
    peer.until("earshot/test/status", b"online", 30)
    yield process
    process.terminate()
    process.wait(20)


def test_live_values_last_as_long_as_asked_for(daemon, peer):
    """A command in answer to `online` starts them at once; they come at most twice a second, and end by themselves."""
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


def _age(peer):
    """Return the time since the last live message, s."""
    return time.time() - datetime.fromisoformat(json.loads(peer.last(LIVE))["time"]).timestamp()
