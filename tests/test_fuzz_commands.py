"""Fuzz tests of MQTT commands: any name and payload is executed or refused, and a refused one changes nothing.

A property is tried a hundred times by default, and ten thousand times by `make fuzz`.
"""

import json
import logging
import math

import pytest
from fuzz_strategies import ANYTHING, SCALARS, damages
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundle import fake_bundle

from device.clips.store import ClipFolder
from device.detection.label_settings import LabelSettings
from device.model.taught import NOTHING_TAUGHT
from device.service.commands import (
    CommandRefusedError,
    CorrectCommand,
    LabelCommand,
    ListeningCommand,
    LiveCommand,
    TeachCommand,
    UntaughtCommand,
    parse_command,
)
from device.service.remote_control import RemoteControl, Switches
from device.service.remote_teaching import RemoteTeaching
from device.types import SoundName
from device.util.json_store import JsonStore
from device.util.token_bucket import TokenBucket

THRESHOLDS = {"siren": 0.5, "dog_bark": 0.7}
EVENT_ID = "01a203db-acf5-764e-a16f-af94604912d3"
NUMBERS = (
    st.floats().map(str)
    | st.integers().map(str)
    | st.sampled_from(
        ["default", "1e-1", "0x1", "1_0", " 0.5 ", "\u0660.5", "infinity", "-0", "9" * 5000, "0." + "1" * 5000]
    )
)
LABELS = st.sampled_from(["siren", "none", "unknown", "..", ".", "", "a/b", "A b_c-1", "x" * 64]) | st.text(max_size=70)
CORRECTIONS = st.dictionaries(
    st.sampled_from(["event_id", "label"]) | st.text(max_size=4), st.just(EVENT_ID) | LABELS | SCALARS, max_size=4
)
TOPICS = st.sampled_from(
    [
        "listening",
        "threshold/siren",
        "cooldown/siren",
        "enabled/siren",
        "threshold/",
        "threshold",
        "correct",
        "teach",
        "untaught",
        "live",
        "",
    ]
)
NAMES = TOPICS | st.tuples(TOPICS, st.text(max_size=10)).map("".join) | st.text(max_size=200)
VALID = st.sampled_from(
    [
        b"ON",
        b"OFF",
        b"0.25",
        json.dumps({"event_id": EVENT_ID, "label": "siren"}).encode(),
        json.dumps({"event_ids": [EVENT_ID], "label": "siren", "exclude": True}).encode(),
    ]
)
PAYLOADS = (
    VALID
    | VALID.flatmap(damages)
    | NUMBERS.map(str.encode)
    | (CORRECTIONS | ANYTHING).map(lambda value: json.dumps(value, default=str).encode(errors="replace"))
    | st.builds(lambda label: json.dumps({"event_id": EVENT_ID, "label": label}).encode(), LABELS)
    | st.binary(max_size=60)
    | st.sampled_from([b"[" * 60_000, b'{"a":' * 20_000])
)


@given(name=NAMES, payload=PAYLOADS)
def test_any_command_is_parsed_or_refused_in_one_line(name, payload):
    """A parsed command is within its limits; a refusal is one printable line."""
    try:
        command = parse_command(name, payload, THRESHOLDS)
    except CommandRefusedError as error:
        assert str(error).isprintable()
        assert len(str(error)) < 300
        return
    if isinstance(command, LabelCommand):
        assert command.label in THRESHOLDS
        largest = {"threshold": 1, "cooldown": 3600, "enabled": 1}[command.setting]
        assert command.value is None or (math.isfinite(command.value) and 0 <= command.value <= largest)
    elif isinstance(command, CorrectCommand):
        assert "/" not in command.label
        assert command.label not in ("", ".", "..", "unknown")
    elif isinstance(command, TeachCommand):
        assert 1 <= len(command.event_ids) <= 20
    elif isinstance(command, LiveCommand):
        assert command.seconds == 0 or 1 <= command.seconds <= 60
    else:
        assert isinstance(command, (ListeningCommand, UntaughtCommand))


@given(commands=st.lists(st.tuples(NAMES, PAYLOADS), max_size=5))
def test_any_commands_are_executed_or_refused(memory_folder, commands, caplog_lines):
    """No commands raise an error, each log line is printable, and the next run has the same settings."""
    (memory_folder / "switches.json").unlink(missing_ok=True)
    names = {SoundName(label, label, "bundle"): threshold for label, threshold in THRESHOLDS.items()}
    labels, states = LabelSettings(names, 1.0), {}

    def start():
        return RemoteControl(
            JsonStore(memory_folder / "switches.json", Switches),
            labels,
            publish_state=states.__setitem__,
            correct=ClipFolder(memory_folder / "clips").relabel,
            teaching=RemoteTeaching(
                memory_folder, fake_bundle(), ClipFolder(memory_folder / "clips"), NOTHING_TAUGHT, ()
            ),
            watch=lambda _seconds: None,
        )

    remote_control = start()
    remote_control._allowance = TokenBucket(1000, 1)
    caplog_lines.clear()
    for name, payload in commands:
        before = (labels.by_slug(), dict(states))
        remote_control.execute(name, payload)
        try:
            parse_command(name, payload, THRESHOLDS)
        except CommandRefusedError:
            assert (labels.by_slug(), states) == before
    assert all(line.isprintable() for line in caplog_lines)
    after = (labels.by_slug(), dict(states), remote_control.is_listening())
    labels = LabelSettings(names, 1.0)
    again = start()
    assert (labels.by_slug(), states, again.is_listening()) == after
    assert not (memory_folder / "switches.damaged").exists()


@pytest.fixture(scope="module")
def caplog_lines():
    """Return the list to which each log line of the device is appended."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("device")
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
