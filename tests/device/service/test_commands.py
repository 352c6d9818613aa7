"""Tests of the parser of commands."""

import json
import string
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.service.commands import (
    CommandRefusedError,
    CorrectCommand,
    LabelCommand,
    ListeningCommand,
    TeachCommand,
    UntaughtCommand,
    parse_command,
)

LABELS = ("siren", "dog_bark")
EVENT_ID = "01a203db-acf5-764e-a16f-af94604912d3"


def correction(**fields):
    """Return the payload of `correct`."""
    return json.dumps({"event_id": EVENT_ID, **fields}).encode()


def lesson(**fields):
    """Return the payload of `teach`."""
    return json.dumps({"event_ids": [EVENT_ID], **fields}).encode()


@pytest.mark.parametrize(
    ("name", "payload", "command"),
    [
        ("listening", b"ON", ListeningCommand(True)),
        ("listening", b"OFF", ListeningCommand(False)),
        ("threshold/siren", b"0.25", LabelCommand("threshold", "siren", 0.25)),
        ("threshold/siren", b"0", LabelCommand("threshold", "siren", 0.0)),
        ("threshold/dog_bark", b"1", LabelCommand("threshold", "dog_bark", 1.0)),
        ("threshold/siren", b"default", LabelCommand("threshold", "siren", None)),
        ("cooldown/siren", b"600", LabelCommand("cooldown", "siren", 600.0)),
        ("cooldown/siren", b"default", LabelCommand("cooldown", "siren", None)),
        ("enabled/siren", b"ON", LabelCommand("enabled", "siren", True)),
        ("enabled/siren", b"OFF", LabelCommand("enabled", "siren", False)),
        ("enabled/siren", b"default", LabelCommand("enabled", "siren", None)),
        ("correct", correction(label="siren"), CorrectCommand(event_id=UUID(EVENT_ID), label="siren")),
        ("correct", correction(label="none"), CorrectCommand(event_id=UUID(EVENT_ID), label="none")),
        ("teach", lesson(label="bell"), TeachCommand(label="bell", event_ids=[UUID(EVENT_ID)])),
        (
            "teach",
            lesson(label="siren", exclude=True),
            TeachCommand(label="siren", event_ids=[UUID(EVENT_ID)], exclude=True),
        ),
        ("untaught", b"bell", UntaughtCommand("bell")),
        ("correct", correction(label="Door bell_2"), CorrectCommand(event_id=UUID(EVENT_ID), label="Door bell_2")),
    ],
)
def test_a_valid_command_is_parsed(name, payload, command):
    """Name and payload become a command; `correct` also accepts a label that the bundle does not have."""
    assert parse_command(name, payload, LABELS) == command


@pytest.mark.parametrize(
    ("name", "payload", "message"),
    [
        ("listening", b"on", "must be ON or OFF"),
        ("listening", b"", "must be ON or OFF"),
        ("listening", b"\xff\xfe", "not UTF-8"),
        ("listning", b"ON", "no such command. Did you mean listening?"),
        ("teach", b"{}", 'label: Field required. Send {"label": "...", "event_ids"'),
        ("teach", b'{"label": "bell", "event_ids": []}', "event_ids: List should have at least 1 item"),
        ("teach", b'{"label": "bell", "event_ids": ["x"]}', "event_ids.0: Input should be a valid UUID"),
        ("", b"ON", "no such command"),
        ("x" * 1000, b"", "no such command"),
        ("threshold", b"0.5", "no such label"),
        ("threshold/sirens", b"0.5", "no such label. Did you mean siren?"),
        ("threshold/siren", b"1.5", "must be 0 to 1, or default"),
        ("threshold/siren", b"nan", "must be 0 to 1"),
        ("threshold/siren", b"-0.1", "must be 0 to 1"),
        ("threshold/siren", b"high", "must be 0 to 1"),
        ("cooldown/siren", b"3601", "must be 0 to 3600, or default"),
        ("cooldown/owl", b"1", "no such label"),
        ("enabled/siren", b"1", "must be ON or OFF, or default"),
        ("enabled/", b"ON", "no such label"),
        ("listening/siren", b"ON", "no such command"),
        ("correct/siren", b"ON", "no such command"),
        ("correct", b"siren", "Invalid JSON"),
        ("correct", b"{}", "event_id: Field required"),
        ("correct", b'{"event_id": "7", "label": "siren"}', "valid UUID"),
        ("correct", correction(event_id=EVENT_ID[::-1], label="siren"), "UUID"),
        ("correct", correction(label="siren", why=1), "why: Extra inputs"),
        ("correct", correction(label="unknown"), "Send 'none' for none of the labels"),
        ("correct", correction(label=""), "label: String should have at least 1 character"),
        ("correct", correction(label="x" * 65), "label: String should have at most 64 characters"),
        ("correct", correction(label="../../etc"), "must consist of letters, digits, '_', '-' and spaces"),
        ("correct", b"[" * 60000, "JSON"),
    ],
)
def test_an_invalid_command_is_refused_in_one_line(name, payload, message):
    """The message has the reason and the allowed values, on one line of less than 250 characters."""
    with pytest.raises(CommandRefusedError) as refused:
        parse_command(name, payload, LABELS)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250


@given(
    name=st.sampled_from(["listening", "correct", "threshold/siren", "cooldown/siren", "enabled/siren", "threshold/"])
    | st.text(max_size=20),
    payload=st.binary(max_size=40) | st.text(string.printable, max_size=40).map(str.encode),
)
def test_any_bytes_are_parsed_or_refused(name, payload):
    """No name and payload raise another exception, and a parsed setting is within its limits."""
    try:
        command = parse_command(name, payload, LABELS)
    except CommandRefusedError:
        return
    if isinstance(command, LabelCommand) and command.value is not None:
        assert 0 <= command.value <= {"threshold": 1, "cooldown": 3600, "enabled": 1}[command.setting]
