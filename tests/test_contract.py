"""Tests of the MQTT contract: docs/schemas and docs/asyncapi.yaml against the messages of a real daemon."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError
from support import Peer, wait_until
from tiny_bundle import write_tiny_bundle

from device.model.bundle import load_bundle
from device.model.taught import TAUGHT_FILE, Detector
from device.teaching.taught_file import ClipOrigin, Figures, TaughtSound, write_taught

DOCS = Path(__file__).resolve().parent.parent / "docs"


def load_script():
    """Import docs/make_asyncapi.py."""
    spec = importlib.util.spec_from_file_location("make_asyncapi", DOCS / "make_asyncapi.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_asyncapi"] = module  # dataclasses look up their module there
    spec.loader.exec_module(module)
    return module


MAKE_ASYNCAPI = load_script()


def channel_of(topic):
    """Return the channel of a topic; fail if the contract has none."""
    for channel in MAKE_ASYNCAPI.CHANNELS:
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", channel.topic), topic):
            return channel
    raise AssertionError(f"{topic} is not in the contract")


def check(channel, payload):
    """Assert that a payload is valid under the schema of its channel."""
    if channel.content_type == "image/png":
        assert payload.startswith(b"\x89PNG")
    elif isinstance(channel.payload, str):
        Draft202012Validator(MAKE_ASYNCAPI.schema(channel.payload)).validate(json.loads(payload))
    else:
        Draft202012Validator(channel.payload).validate(payload.decode())


def run(broker, state, recording, *arguments):
    """Run the daemon on a recording to its end."""
    command = [sys.executable, "-m", "device", "run", "--input", recording, "--speed", "max", "--exit-at-end"]
    command += ["--set", f"mqtt.port={broker.port}", "--set", "node_id=test", *arguments]
    subprocess.run(command, env={**os.environ, "STATE_DIRECTORY": str(state)}, check=True, timeout=120)


def always_detected(bundle):
    """Return a taught sound that every window contains."""
    length = bundle.manifest.first.outputs["embedding"]
    zeros, rows = np.zeros(length, np.float32), np.zeros((1, length), np.float16)
    clips = ((ClipOrigin(name="ring.wav", path="/ring.wav", sha256=""), rows),)
    figures = Figures(recognized=1, clips=1, false_alarms=0, ambience_minutes=0, kept_clips=0, kept_detected=0)
    detector = Detector(zeros, zeros + 1, zeros, 5.0)
    return TaughtSound("bell", False, bundle.manifest.first.sha256, rows, clips, detector, figures)


def test_all_messages_are_valid_under_the_contract(mosquitto, peer, demo_recording, bundle_path, tmp_path):
    """Each message of four runs, late, taught and AudioSet ones among them, is valid; each channel is used."""
    (tmp_path / "home_assistant.json").write_text('{"components": {"sound_owl": "binary_sensor"}}')
    run(mosquitto, tmp_path, demo_recording)
    peer.publish("earshot/test/command/live", b"60")  # the broker keeps it for the session of the next run
    run(mosquitto, tmp_path, demo_recording, "--set", "mqtt.live_seconds=0.000001", "--set", "history.enabled=false")
    tiny = write_tiny_bundle(tmp_path / "tiny")
    run(mosquitto, tmp_path / "tiny_state", demo_recording, "--set", f"model.bundle={tiny}")
    settings = ("--set", f"model.bundle={tiny}", "--set", "events.audioset={Class 4: 0}", "--set", "clips.enabled=true")
    write_taught(tmp_path / "tiny_state" / TAUGHT_FILE, [always_detected(load_bundle(tiny))])
    run(mosquitto, tmp_path / "tiny_state", demo_recording, *settings)
    wait_until(lambda: peer.payloads("earshot/test/status").count(b"offline") == 4, 10, "end")
    used, vocabularies = set(), set()
    for message in peer.messages:
        channel = channel_of(message.topic)
        check(channel, message.payload)
        assert channel.obeyed == (channel.name == "watch")
        used.add(channel.name)
        if channel.payload == "event":
            event = json.loads(message.payload)
            assert event["replayed"] == (channel.name == "backlog")
            vocabularies.add(event["vocabulary"])
    assert vocabularies == {"bundle", "taught", "audioset"}
    assert used - {"watch"} == {channel.name for channel in MAKE_ASYNCAPI.CHANNELS if not channel.obeyed}
    retained = {message.topic for message in peer.messages if channel_of(message.topic).retained}
    late = Peer(mosquitto)
    wait_until(lambda: {message.topic for message in late.messages} == retained, 10, "the retained topics")
    late.close()


def test_the_asyncapi_document_is_up_to_date():
    """The document is generated from schemas and topics: run `make schemas` after a change."""
    assert MAKE_ASYNCAPI.FILE.read_text(encoding="utf-8") == MAKE_ASYNCAPI.text()


@pytest.mark.parametrize("name", ["event", "health", "level", "live", "today", "clip", "correct", "teach", "discovery"])
def test_the_schemas_are_valid(name):
    """Each is valid JSON Schema, and refuses unknown keys."""
    schema = MAKE_ASYNCAPI.schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False


def test_the_example_of_the_page_is_valid():
    """The event in docs/mqtt.md is valid; with one key more or less, or as an end without its time, it is not."""
    example = re.search(r"```json\n(.*?)```", (DOCS / "mqtt.md").read_text(), re.DOTALL)[1]
    event = json.loads(example)
    validator = Draft202012Validator(MAKE_ASYNCAPI.schema("event"))
    validator.validate(event)
    for invalid in ({**event, "type": "end"}, {**event, "more": 1}, {k: v for k, v in event.items() if k != "id"}):
        with pytest.raises(ValidationError):
            validator.validate(invalid)
