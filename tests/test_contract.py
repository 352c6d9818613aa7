"""docs/schemas and docs/asyncapi.yaml against what a real broker carries of a real daemon."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError
from support import Peer, wait_until

DOCS = Path(__file__).resolve().parent.parent / "docs"


def load_script():
    spec = importlib.util.spec_from_file_location("make_asyncapi", DOCS / "make_asyncapi.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_asyncapi"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


MAKE_ASYNCAPI = load_script()


def channel_of(topic):
    """The channel that a topic belongs to; fails where the contract has none."""
    for channel in MAKE_ASYNCAPI.CHANNELS:
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", channel.topic), topic):
            return channel
    raise AssertionError(f"{topic} is not in the contract")


def check(channel, payload):
    """Whether a payload is what the contract says."""
    if channel.content_type == "image/png":
        assert payload.startswith(b"\x89PNG")
    elif isinstance(channel.payload, str):
        Draft202012Validator(MAKE_ASYNCAPI.schema(channel.payload)).validate(json.loads(payload))
    else:
        Draft202012Validator(channel.payload).validate(payload.decode())


def run(broker, state, street, *arguments):
    command = [sys.executable, "-m", "device", "run", "--input", street, "--speed", "max", "--exit-at-end"]
    command += ["--set", f"mqtt.port={broker.port}", "--set", "node_id=test", *arguments]
    subprocess.run(command, env={**os.environ, "STATE_DIRECTORY": str(state)}, check=True, timeout=120)


def test_the_broker_carries_what_the_contract_says(mosquitto, peer, street, bundle_path, tmp_path):
    """Each message of two runs, one of them late, is valid under its schema; each channel is used; retained is kept."""
    (tmp_path / "home_assistant.json").write_text('{"components": {"sound_owl": "binary_sensor"}}')
    run(mosquitto, tmp_path, street)
    run(mosquitto, tmp_path, street, "--set", "mqtt.live_seconds=0.000001")
    wait_until(lambda: peer.payloads("earshot/test/status").count(b"offline") == 2, 10, "end")
    used = set()
    for message in peer.messages:
        channel = channel_of(message.topic)
        check(channel, message.payload)
        assert not channel.obeyed
        used.add(channel.name)
        if channel.payload == "event":
            assert json.loads(message.payload)["replayed"] == (channel.name == "backlog")
    assert used == {channel.name for channel in MAKE_ASYNCAPI.CHANNELS if not channel.obeyed}
    retained = {message.topic for message in peer.messages if channel_of(message.topic).retained}
    late = Peer(mosquitto)
    wait_until(lambda: {message.topic for message in late.messages} == retained, 10, "the retained topics")
    late.close()


def test_the_asyncapi_document_is_up_to_date():
    """Whoever changes a schema or a topic makes the document anew: python docs/make_asyncapi.py."""
    assert MAKE_ASYNCAPI.FILE.read_text(encoding="utf-8") == MAKE_ASYNCAPI.text()


@pytest.mark.parametrize("name", ["event", "health", "correct", "discovery"])
def test_the_schemas_are_schemas(name):
    """Each is valid JSON Schema, and refuses a key that nobody has told of."""
    schema = MAKE_ASYNCAPI.schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False


def test_the_example_of_the_page_is_an_event():
    """The event that docs/mqtt.md shows is one; with a field less, or an end without its time, it is none."""
    example = re.search(r"```json\n(.*?)```", (DOCS / "mqtt.md").read_text(), re.DOTALL)[1]
    event = json.loads(example)
    validator = Draft202012Validator(MAKE_ASYNCAPI.schema("event"))
    validator.validate(event)
    for wrong in ({**event, "type": "end"}, {**event, "more": 1}, {k: v for k, v in event.items() if k != "id"}):
        with pytest.raises(ValidationError):
            validator.validate(wrong)
