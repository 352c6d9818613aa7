import json
import logging
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.service.remote_control import RemoteControl, Switches
from device.util.json_store import JsonStore

DEFAULTS = {"siren": 0.5, "dog_bark": 0.7}
EVENT_ID = "01a203db-acf5-764e-a16f-af94604912d3"


class Node:
    """Controls and what they act on: the pipeline's thresholds, the broker's states, the filed clips."""

    def __init__(self, folder):
        self.thresholds, self.states, self.filed = dict(DEFAULTS), {}, []
        self.file = folder / "switches.json"
        self.controls = RemoteControl(
            JsonStore(self.file, Switches),
            DEFAULTS,
            set_threshold=self.thresholds.__setitem__,
            publish_state=self.states.__setitem__,
            correct=self.correct,
        )
        self.command = self.controls.execute

    def correct(self, event_id, label):
        if event_id != EVENT_ID:
            raise LookupError(f"no clip of the event {event_id}")
        self.filed.append(label)

    def all(self):
        return (self.thresholds, self.states, self.filed, self.controls.is_listening(), self.file.exists())


def test_it_tells_where_everything_stands(tmp_path):
    """Subscribers learn each switch and threshold at the start, before anyone has set one."""
    assert Node(tmp_path).states == {"listening": "ON", "threshold/siren": "0.5", "threshold/dog_bark": "0.7"}


def test_what_is_set_holds_after_a_restart(tmp_path):
    """Listening and a threshold act at once, are told, and are there again in the next run."""
    node = Node(tmp_path)
    node.command("listening", b"OFF")
    node.command("threshold/siren", b"0.25")
    for each in (node, Node(tmp_path)):
        assert not each.controls.is_listening()
        assert each.thresholds == {"siren": 0.25, "dog_bark": 0.7}
        assert each.states == {"listening": "OFF", "threshold/siren": "0.25", "threshold/dog_bark": "0.7"}
    node.command("listening", b"ON")
    node.command("threshold/siren", b"default")
    for each in (node, Node(tmp_path)):
        assert each.controls.is_listening()
        assert each.thresholds == DEFAULTS
        assert each.states["threshold/siren"] == "0.5"


def test_a_threshold_waits_for_its_label(tmp_path):
    """A threshold of a label that this bundle does not have is kept for one that has it."""
    (tmp_path / "switches.json").write_text('{"thresholds": {"owl": 0.9}}')
    node = Node(tmp_path)
    node.command("threshold/siren", b"0.1")
    assert node.thresholds == {"siren": 0.1, "dog_bark": 0.7}
    assert json.loads(node.file.read_text())["thresholds"] == {"owl": 0.9, "siren": 0.1}


def test_a_clip_is_corrected(tmp_path):
    """`correct` takes an event id and a label."""
    node = Node(tmp_path)
    node.command("correct", json.dumps({"event_id": EVENT_ID, "label": "siren"}).encode())
    assert node.filed == ["siren"]


@pytest.mark.parametrize(
    ("name", "payload", "says"),
    [
        ("listening", b"on", "must be ON or OFF"),
        ("listening", b"", "must be ON or OFF"),
        ("listening", b"\xff\xfe", "not UTF-8"),
        ("listning", b"ON", "no such command. Did you mean listening?"),
        ("", b"ON", "no such command"),
        ("threshold", b"0.5", "no such label"),
        ("threshold/sirens", b"0.5", "no such label. Did you mean siren?"),
        ("threshold/siren", b"1.5", "must be 0 to 1, or default"),
        ("threshold/siren", b"nan", "must be 0 to 1"),
        ("threshold/siren", b"-0.1", "must be 0 to 1"),
        ("threshold/siren", b"high", "must be 0 to 1"),
        ("correct", b"siren", "Invalid JSON"),
        ("correct", b"{}", "event_id: Field required"),
        ("correct", b'{"event_id": "7", "label": "siren"}', "valid UUID"),
        ("correct", json.dumps({"event_id": EVENT_ID[::-1], "label": "siren"}).encode(), "UUID"),
        ("correct", b'{"event_id": "01a203db-acf5-764e-a16f-000000000000", "label": "siren"}', "no clip of the event"),
        ("correct", json.dumps({"event_id": EVENT_ID, "label": "siren", "why": 1}).encode(), "why: Extra inputs"),
        ("correct", b"[" * 60000, "JSON"),
    ],
)
def test_a_bad_command_changes_nothing(tmp_path, caplog, name, payload, says):
    """It is told in one line with what is allowed, and everything stays."""
    node = Node(tmp_path)
    before = node.all()
    with caplog.at_level(logging.WARNING):
        node.command(name, payload)
    (line,) = caplog.messages
    assert says in line
    assert "\n" not in line
    assert len(line) < 300
    assert node.all() == before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    name=st.sampled_from(["listening", "correct", "threshold/siren", "threshold/"]) | st.text(max_size=20),
    payload=st.binary(max_size=40) | st.text(string.printable, max_size=40).map(str.encode),
)
def test_no_command_breaks_it(tmp_path, name, payload):
    """Whatever comes from outside, thresholds stay probabilities, and nobody sees an exception."""
    node = Node(tmp_path)
    node.command(name, payload)
    assert all(0 <= threshold <= 1 for threshold in node.thresholds.values())


def test_refused_commands_are_told_seldom(tmp_path, caplog):
    """A flood of nonsense is one line, not a full disk."""
    node = Node(tmp_path)
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            node.command("listening", b"perhaps")
    assert len(caplog.messages) == 1


def test_a_flood_of_good_commands_is_cut(tmp_path):
    """Each change is a write to the card, so only so many are obeyed; the switch still tells the truth."""
    node = Node(tmp_path)
    for number in range(1000):
        node.command("threshold/siren", f"{number / 1000}".encode())
    assert node.thresholds["siren"] < 0.1
    assert node.states["threshold/siren"] == f"{node.thresholds['siren']:g}"
    assert Node(tmp_path).thresholds == node.thresholds
