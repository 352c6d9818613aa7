"""Tests of remote control."""

import json
import logging
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.detection.label_settings import LabelSetting, LabelSettings
from device.errors import InputError
from device.service.remote_control import RemoteControl, Switches
from device.types import SoundName
from device.util.json_store import JsonStore
from device.util.token_bucket import TokenBucket

DEFAULTS = {"siren": 0.5, "dog_bark": 0.7}
COOLDOWN = 1.0
EVENT_ID = "01a203db-acf5-764e-a16f-af94604912d3"
STATES = {
    "listening": "ON",
    "threshold/siren": "0.5",
    "cooldown/siren": "1",
    "enabled/siren": "ON",
    "threshold/dog_bark": "0.7",
    "cooldown/dog_bark": "1",
    "enabled/dog_bark": "ON",
}


class Node:
    """Remote control, with the thresholds, states and corrections that it sets.

    Attributes:
        settings: settings of the pipeline.
        states: published states.
        corrections: labels of corrected clips.
        lessons: taught names, and whether each is an exclusion.
        watched: times for which live values were asked for, s.
        file: settings of earlier commands.
    """

    def __init__(self, folder):
        names = {SoundName(label, label, "bundle"): threshold for label, threshold in DEFAULTS.items()}
        self.settings, self.states = LabelSettings(names, COOLDOWN), {}
        self.corrections, self.lessons, self.watched = [], [], []
        self.file = folder / "switches.json"
        self.remote_control = RemoteControl(
            JsonStore(self.file, Switches),
            self.settings,
            publish_state=self.states.__setitem__,
            correct=self.correct,
            teaching=self,
            watch=self.watched.append,
        )
        self.command = self.remote_control.execute

    def teach(self, name, event_ids, *, is_exclusion):
        if event_ids != [EVENT_ID]:
            raise InputError(f"{len(event_ids)} clips are too few")
        self.lessons.append((name, is_exclusion))

    def forget(self, name):
        if (name, False) not in self.lessons:
            raise InputError("not taught")
        self.lessons.remove((name, False))

    @property
    def thresholds(self):
        return {slug: setting.threshold for slug, setting in self.settings.by_slug().items()}

    def correct(self, event_id, label):
        if event_id != EVENT_ID:
            raise LookupError(f"no clip of the event {event_id}")
        self.corrections.append(label)

    def everything(self):
        """Return copies of all that a command can change."""
        is_listening = self.remote_control.is_listening()
        made = list(self.corrections), list(self.lessons), list(self.watched)
        return self.settings.by_slug(), dict(self.states), *made, is_listening, self.file.exists()


def test_all_states_are_published_at_the_start(tmp_path):
    """Subscribers receive listening and each setting of each label before the first command."""
    assert Node(tmp_path).states == STATES


def test_settings_hold_after_a_restart(tmp_path):
    """Listening and a threshold change at once, are published, and hold in the next run."""
    node = Node(tmp_path)
    node.command("listening", b"OFF")
    node.command("threshold/siren", b"0.25")
    for each in (node, Node(tmp_path)):
        assert not each.remote_control.is_listening()
        assert each.thresholds == {"siren": 0.25, "dog_bark": 0.7}
        assert each.states == STATES | {"listening": "OFF", "threshold/siren": "0.25"}
    node.command("listening", b"ON")
    node.command("threshold/siren", b"default")
    for each in (node, Node(tmp_path)):
        assert each.remote_control.is_listening()
        assert each.thresholds == DEFAULTS
        assert each.states["threshold/siren"] == "0.5"


@pytest.mark.parametrize(("setting", "payload", "value"), [("cooldown", b"90.5", 90.5), ("enabled", b"OFF", False)])
def test_a_setting_of_a_label_holds_after_a_restart(tmp_path, setting, payload, value):
    """A cool-down or switch changes for its label alone, is published, and holds until `default`."""
    node = Node(tmp_path)
    node.command("threshold/siren", b"0.25")
    node.command(f"{setting}/siren", payload)
    for each in (node, Node(tmp_path)):
        assert getattr(each.settings.by_slug()["siren"], setting) == value
        assert each.thresholds["siren"] == 0.25
        assert each.settings.by_slug()["dog_bark"] == LabelSetting(0.7, COOLDOWN)
        assert each.states == STATES | {"threshold/siren": "0.25", f"{setting}/siren": payload.decode()}
    node.command(f"{setting}/siren", b"default")
    for each in (node, Node(tmp_path)):
        assert each.settings.by_slug()["siren"] == LabelSetting(0.25, COOLDOWN)


def test_the_threshold_of_another_bundle_s_label_is_kept(tmp_path):
    """A threshold of a label that this bundle does not have stays in the file."""
    (tmp_path / "switches.json").write_text('{"thresholds": {"owl": 0.9}}')
    node = Node(tmp_path)
    node.command("threshold/siren", b"0.1")
    assert node.thresholds == {"siren": 0.1, "dog_bark": 0.7}
    assert json.loads(node.file.read_text())["thresholds"] == {"owl": 0.9, "siren": 0.1}


def test_a_clip_is_corrected(tmp_path):
    """`correct` passes the event id and the label on."""
    node = Node(tmp_path)
    node.command("correct", json.dumps({"event_id": EVENT_ID, "label": "siren"}).encode())
    assert node.corrections == ["siren"]


def test_a_label_is_taught_and_removed(tmp_path):
    """`teach` passes label, event ids and the kind of lesson on; `untaught` removes a label."""
    node = Node(tmp_path)
    node.command("teach", json.dumps({"label": "owl", "event_ids": [EVENT_ID]}).encode())
    node.command("teach", json.dumps({"label": "siren", "event_ids": [EVENT_ID], "exclude": True}).encode())
    assert node.lessons == [("owl", False), ("siren", True)]
    node.command("untaught", b"owl")
    assert node.lessons == [("siren", True)]


def test_live_values_are_asked_for_and_ended(tmp_path):
    """A number is the time, s; an empty payload and `ON` are the default, 30 s; `0` and `OFF` end it."""
    node = Node(tmp_path)
    for payload in (b"", b"ON", b"1", b"12.5", b"60", b"0", b"OFF"):
        node.command("live", payload)
    assert node.watched == [30, 30, 1, 12.5, 60, 0, 0]
    assert (node.states, node.file.exists()) == (STATES, False)


@pytest.mark.parametrize(
    ("name", "payload", "message"),
    [
        ("listening", b"on", "must be ON or OFF"),
        ("listening", b"\xff\xfe", "not UTF-8"),
        ("x" * 1000, b"ON", "no such command"),
        ("threshold/sirens", b"0.5", "no such label. Did you mean siren?"),
        ("threshold/siren", b"nan", "must be 0 to 1"),
        ("correct", b"{}", "event_id: Field required"),
        ("teach", json.dumps({"label": "owl", "event_ids": [EVENT_ID] * 2}).encode(), "2 clips are too few"),
        ("teach", json.dumps({"label": "owl", "event_ids": [EVENT_ID], "exclude": True}).encode(), "no such label"),
        ("untaught", b"owl\n", "not taught"),
        ("live", b"61", "must be 1 to 60 (seconds), ON, or 0 or OFF to end it"),
        ("live", b"0.5", "must be 1 to 60"),
        ("live", b"-1", "must be 1 to 60"),
        ("live", b"inf", "must be 1 to 60"),
        ("live", b"nan", "must be 1 to 60"),
        ("live", b"on", "must be 1 to 60"),
        ("live", b"\xff", "not UTF-8"),
        ("live/siren", b"30", "no such command"),
        ("correct", b'{"event_id": "01a203db-acf5-764e-a16f-000000000000", "label": "siren"}', "no clip of the event"),
        ("correct", b"[" * 60000, "JSON"),
    ],
)
def test_a_refused_command_changes_nothing(tmp_path, caplog, name, payload, message):
    """The reason is one line of the log; thresholds, states, corrections and the file stay."""
    node = Node(tmp_path)
    before = node.everything()
    with caplog.at_level(logging.WARNING):
        node.command(name, payload)
    (line,) = caplog.messages
    assert message in line
    assert "\n" not in line
    assert len(line) < 300
    assert node.everything() == before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    name=st.sampled_from(
        ["listening", "correct", "live", "threshold/siren", "cooldown/siren", "enabled/siren", "threshold/"]
    )
    | st.text(max_size=20),
    payload=st.binary(max_size=40) | st.text(string.printable, max_size=40).map(str.encode),
)
def test_any_command_is_executed_or_refused(tmp_path, name, payload):
    """No name and payload raise an exception, and thresholds stay probabilities."""
    node = Node(tmp_path)
    node.command(name, payload)
    assert all(0 <= threshold <= 1 for threshold in node.thresholds.values())


def test_refused_commands_are_logged_once_a_minute(tmp_path, caplog):
    """A thousand refused commands are one line of the log."""
    node = Node(tmp_path)
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            node.command("listening", b"perhaps")
    assert len(caplog.messages) == 1


def test_commands_are_limited_in_rate(tmp_path):
    """Each change is written to the SD card, so most of a thousand are refused; the published state stays right."""
    node = Node(tmp_path)
    node.remote_control._allowance = TokenBucket(
        50, 2, clock=lambda: 0.0
    )  # on a busy machine the real one refills meanwhile
    for number in range(1000):
        node.command("threshold/siren", f"{number / 1000}".encode())
    assert node.thresholds["siren"] == 0.049
    assert node.states["threshold/siren"] == f"{node.thresholds['siren']:g}"
    assert Node(tmp_path).thresholds == node.thresholds
