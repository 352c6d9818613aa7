"""The daemon as a process of its own, obeying over a real broker, and a peer that means it no good."""

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

OWN = "earshot/test/"


def heard(peer):
    """The event messages so far."""
    return [json.loads(payload) for payload in peer.payloads(OWN + "event")]


def command(peer, name, payload, qos=1):
    peer.publish(f"{OWN}command/{name}", payload, qos)


@contextmanager
def daemon(broker, state, source, *arguments):
    """A daemon that has heard the recording and goes on to obey; ended by a signal, which must be its clean end."""
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


def test_what_is_set_survives_a_restart(mosquitto, peer, street, bundle_path, tmp_path):
    """A threshold and listening, set over MQTT, act at once and in the next run; off means that nothing is heard."""
    with daemon(mosquitto, tmp_path, street):
        wait_until(lambda: len(heard(peer)) >= 2, 60, "an event")
        command(peer, "threshold/siren", "0.2")
        peer.until(OWN + "threshold/siren", b"0.2")
        command(peer, "listening", "OFF")
        peer.until(OWN + "listening", b"OFF")
    peer.until(OWN + "status", b"offline")
    peer.messages.clear()
    with daemon(mosquitto, tmp_path, street, "--exit-at-end") as process:
        peer.until(OWN + "threshold/siren", b"0.2")
        peer.until(OWN + "listening", b"OFF")
        assert process.wait(120) == 0
    assert heard(peer) == []
    with daemon(mosquitto, tmp_path, street):
        peer.until(OWN + "status", b"online")
        command(peer, "listening", "ON")
        peer.until(OWN + "listening", b"ON")


def test_a_hostile_peer_changes_nothing_and_stops_nothing(mosquitto, peer, street, bundle_path, tmp_path):
    """Nonsense, a megabyte, bytes that are no text, and ten thousand commands in a second, while it hears."""
    nonsense = [
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
        command(peer, "listening", b"OFF" * 350_000, qos=0)
        for _ in range(10):
            for name, payload in nonsense * (1000 // len(nonsense)):
                command(peer, name, payload, qos=0)
            time.sleep(0.1)

    with daemon(mosquitto, tmp_path, street, "--exit-at-end") as process:
        peer.until(OWN + "listening", b"ON")
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            assert process.wait(120) == 0
        finally:
            thread.join()
    peer.until(OWN + "status", b"offline")  # the broker's answer to the daemon may overtake the flood to this peer
    events = heard(peer)
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert len(events) >= 8
    assert peer.last(OWN + "listening") == b"ON"
    assert not (tmp_path / "switches.json").exists()
    warnings = [line for line in (tmp_path / "log").read_text().splitlines() if "command" in line]
    # Said once each, whatever came: that a command is wrong, and that they are too many.
    assert sorted("too many" in line for line in warnings) in ([False], [False, True])


def test_corrected_clips_are_a_dataset(mosquitto, peer, street, bundle_path, tmp_path):
    """The sound of each event is kept where asked for; command/correct files it as the trainer's loader reads it."""
    clips = tmp_path / "clips"
    with daemon(mosquitto, tmp_path, street, "--set", "clips.enabled=true", "--set", "clips.keep_speech=true"):
        wait_until(lambda: len(list(clips.glob("recent/*/*.flac"))) >= 4, 60, "four clips")
        wait_until(lambda: len([event for event in heard(peer) if event["type"] == "end"]) >= 4, 60, "four events")
        events = [event for event in heard(peer) if event["type"] == "end"][:4]
        assert all(list(clips.glob(f"recent/{event['label']}/*_{event['event_id']}.flac")) for event in events)
        for event, label in zip(events, ["dog_bark", "doorbell", "none", "dog_bark"], strict=True):
            command(peer, "correct", json.dumps({"event_id": event["event_id"], "label": label}))
        command(peer, "correct", json.dumps({"event_id": events[0]["event_id"], "label": "../../../etc"}))
        wait_until(lambda: len(list(clips.glob("corrected/*/*.flac"))) == 3, 60, "the corrections")
        wait_until(lambda: len(list(clips.glob("none/*.flac"))) == 1, 60, "the clip of nothing")
    dataset = load_folders(clips / "corrected")
    assert dataset.labels == ("dog_bark", "doorbell")
    assert sorted(clip.label for clip in dataset.clips) == ["dog_bark", "dog_bark", "doorbell"]
    assert all(len(read_samples(clip.path, 16000)) >= 3 * 16000 for clip in dataset.clips)  # the network's window
    assert "etc" not in {path.name for path in tmp_path.rglob("*")}
