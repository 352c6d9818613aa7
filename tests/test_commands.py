"""Tests of commands: the real daemon, a real broker, and a hostile client."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

from support import wait_until

from device.audio.files import read_samples
from training.data.class_folders import load_folders

TOPICS = "earshot/test/"


def received_events(peer):
    """Return the event messages so far."""
    return [json.loads(payload) for payload in peer.payloads(TOPICS + "event")]


def send_command(peer, name, payload, qos=1):
    """Publish a command."""
    peer.publish(f"{TOPICS}command/{name}", payload, qos)


@contextmanager
def daemon(broker, state, source, *arguments):
    """Run a daemon on a recording; SIGTERM at the end must end it with exit code 0 and without a traceback."""
    command = [sys.executable, "-m", "device", "run", "--input", source, "--speed", "max", *arguments]
    command += ["--set", f"mqtt.port={broker.port}", "--set", "node_id=test"]
    with (state / "log").open("a") as log:
        process = subprocess.Popen(command, env={**os.environ, "STATE_DIRECTORY": str(state)}, stderr=log)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
    assert "Traceback" not in (state / "log").read_text()


def test_settings_survive_a_restart(mosquitto, peer, demo_recording, bundle_path, tmp_path):
    """A threshold and listening change at once and hold in the next run; without listening there is no event."""
    with daemon(mosquitto, tmp_path, demo_recording):
        wait_until(lambda: len(received_events(peer)) >= 2, 60, "an event")
        send_command(peer, "threshold/siren", "0.2")
        peer.until(TOPICS + "threshold/siren", b"0.2")
        send_command(peer, "listening", "OFF")
        peer.until(TOPICS + "listening", b"OFF")
    peer.until(TOPICS + "status", b"offline")
    peer.messages.clear()
    with daemon(mosquitto, tmp_path, demo_recording, "--exit-at-end") as process:
        peer.until(TOPICS + "threshold/siren", b"0.2")
        peer.until(TOPICS + "listening", b"OFF")
        assert process.wait(120) == 0
    assert received_events(peer) == []
    peer.until(TOPICS + "status", b"offline")
    peer.messages.clear()
    with daemon(mosquitto, tmp_path, demo_recording):
        peer.until(TOPICS + "listening", b"OFF")  # not only `online`, which precedes the subscription to commands
        send_command(peer, "listening", "ON")
        peer.until(TOPICS + "listening", b"ON")


def test_a_hostile_peer_changes_nothing_and_stops_nothing(mosquitto, peer, demo_recording, bundle_path, tmp_path):
    """Invalid commands, a payload of a megabyte, and ten thousand commands in a second arrive during detection."""
    invalid = [
        ("listening", b"perhaps"),
        ("listening", b"\xff\xfe\x00"),
        ("threshold/siren", b"9e99"),
        ("threshold/../../etc", b"0"),
        ("correct", b"{" * 1000),
        ("correct", b'{"event_id": "../../..", "label": "../../.."}'),
        ("reboot", b"now"),
        ("x" * 1000, b""),
    ]

    def flood():
        send_command(peer, "listening", b"OFF" * 350_000, qos=0)
        for _ in range(10):
            for name, payload in invalid * (1000 // len(invalid)):
                send_command(peer, name, payload, qos=0)
            time.sleep(0.1)

    with daemon(mosquitto, tmp_path, demo_recording, "--exit-at-end") as process:
        peer.until(TOPICS + "listening", b"ON")
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            assert process.wait(120) == 0
        finally:
            thread.join()
    peer.until(TOPICS + "status", b"offline")  # the daemon may end before this client has received all messages
    events = received_events(peer)
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert len(events) >= 8
    assert peer.last(TOPICS + "listening") == b"ON"
    assert not (tmp_path / "switches.json").exists()
    warnings = [line for line in (tmp_path / "log").read_text().splitlines() if "command" in line]
    # One line about refused commands, and at most one about their number.
    assert sorted("too many" in line for line in warnings) in ([False], [False, True])


def test_corrected_clips_are_a_dataset(mosquitto, peer, demo_recording, bundle_path, tmp_path):
    """Clips of events are saved if enabled, and command/correct moves them to folders that the trainer loads."""
    clips = tmp_path / "clips"
    with daemon(mosquitto, tmp_path, demo_recording, "--set", "clips.enabled=true", "--set", "clips.keep_speech=true"):
        wait_until(lambda: len(list(clips.glob("recent/*/*.flac"))) >= 4, 60, "four clips")
        wait_until(
            lambda: len([event for event in received_events(peer) if event["type"] == "end"]) >= 4, 60, "four events"
        )
        events = [event for event in received_events(peer) if event["type"] == "end"][:4]
        assert all(list(clips.glob(f"recent/{event['label']}/*_{event['event_id']}.flac")) for event in events)
        for event, label in zip(events, ["dog_bark", "doorbell", "none", "dog_bark"], strict=True):
            send_command(peer, "correct", json.dumps({"event_id": event["event_id"], "label": label}))
        send_command(peer, "correct", json.dumps({"event_id": events[0]["event_id"], "label": "../../../etc"}))
        wait_until(lambda: len(list(clips.glob("corrected/*/*.flac"))) == 3, 60, "the corrections")
        wait_until(lambda: len(list(clips.glob("none/*.flac"))) == 1, 60, "the clip of none of the labels")
    dataset = load_folders(clips / "corrected")
    assert dataset.labels == ("dog_bark", "doorbell")
    assert sorted(clip.label for clip in dataset.clips) == ["dog_bark", "dog_bark", "doorbell"]
    assert all(len(read_samples(clip.path, 16000)) >= 3 * 16000 for clip in dataset.clips)  # at least one window
    assert "etc" not in {path.name for path in tmp_path.rglob("*")}
