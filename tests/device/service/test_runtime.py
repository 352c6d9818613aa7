"""Tests of the settings of a run."""

import pytest
from tiny_bundle import write_tiny_bundle

from device.config.day_spans import DaySpans
from device.config.loader import load_config
from device.errors import ConfigError
from device.model.bundle import load_bundle
from device.model.taught import TAUGHT_FILE
from device.service.runtime import check_labels, load_settings, taught_version
from device.teaching.taught_file import write_taught


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("model.bundle=nowhere", "nowhere"),
        ("events.thresholds.sirene=0.5", "Did you mean siren"),
        ("mqtt.password_file=/nowhere", "mqtt.password_file /nowhere: not readable"),
        ("mqtt.tls={enabled: true, ca_file: /nowhere}", "mqtt.tls.ca_file /nowhere: no certificates"),
        ("events.audioset={Doorbell: 0.5}", "has no AudioSet network. Set model.bundle to a bundle with the network"),
    ],
)
def test_the_files_of_the_config_are_checked_before_a_run(format_1_path, setting, fault):
    """A reload ends no run if bundle, labels, password or certificate have a fault."""
    config = load_config(overrides=[f"model.bundle={format_1_path}", setting])
    with pytest.raises(ConfigError, match=fault):
        load_settings(config)


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        (
            "audioset={Typewritter: 0.5}",
            "events.audioset.Typewritter: AudioSet has no such class. Did you mean 'Typewriter'?",
        ),
        ("audioset={hum: 0.5}", "events.audioset.hum: AudioSet has no such class. Did you mean 'Hum'?"),
        ("audioset={qqqq: 0.5}", "events.audioset.qqqq: AudioSet has no such class. `earshot labels` lists all"),
        (
            "thresholds={Hum: 0.5}",
            "events.thresholds.Hum: is an AudioSet class. Set its threshold in events.audioset, as 'Hum'",
        ),
        (
            "thresholds={class_4: 0.5}",
            "events.thresholds.class_4: is an AudioSet class. Set its threshold in events.audioset, as 'Class 4'",
        ),
    ],
)
def test_a_wrong_class_has_a_cure(tmp_path, setting, fault):
    """A class that AudioSet does not have, or that is among the labels' thresholds, is one line with its cure."""
    bundle = load_bundle(write_tiny_bundle(tmp_path / "bundle"))
    with pytest.raises(ConfigError) as refused:
        check_labels(load_config(overrides=[f"events.{setting}"]), bundle)
    assert str(refused.value) == fault


def test_all_wrong_names_are_reported_at_once(tmp_path):
    """Labels and classes with a fault are one line each; right ones are none."""
    bundle = load_bundle(write_tiny_bundle(tmp_path / "bundle"))
    events = "events={thresholds: {owl: 0.5, low: 0.1}, audioset: {Musik: 0.5, Typo: 0.5, Speech: 0.5}}"
    with pytest.raises(ConfigError) as refused:
        check_labels(load_config(overrides=[events]), bundle)
    lines = str(refused.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "events.thresholds.owl",
        "events.audioset.Musik",
        "events.audioset.Typo",
    ]


def test_a_reload_uses_the_new_time_zone(tmp_path, berlin_time, monkeypatch):
    """Quiet hours go by the time zone that the machine has at the time of the last reload."""
    config = load_config(overrides=[f"model.bundle={write_tiny_bundle(tmp_path / 'bundle')}"], environment={})
    noon_in_berlin, hours = berlin_time(2026, 7, 1, 12, 0), DaySpans(["12:00-13:00"])
    load_settings(config)
    assert hours.hold(noon_in_berlin)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    load_settings(config)
    assert not hours.hold(noon_in_berlin)
    assert hours.hold(noon_in_berlin - 7 * 3600)


def test_a_changed_file_of_taught_sounds_is_a_new_version(tmp_path, monkeypatch):
    """Each write is another version, also one of the same size, and so is the removal of the file."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    versions = [taught_version()]
    for _ in range(2):
        write_taught(tmp_path / TAUGHT_FILE, [])
        versions.append(taught_version())
    (tmp_path / TAUGHT_FILE).unlink()
    assert versions[0] is None is taught_version()
    assert len(set(versions)) == 3


def test_a_damaged_file_of_taught_sounds_ends_no_run(tmp_path, monkeypatch, caplog):
    """The settings are loaded without taught labels, and the fault is logged with its cure."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    (tmp_path / TAUGHT_FILE).write_bytes(b"PK")
    loaded = load_settings(load_config(overrides=[f"model.bundle={write_tiny_bundle(tmp_path / 'tiny')}"]))
    assert not loaded.taught.labels
    assert loaded.taught.faults == tuple(caplog.messages)
    assert "delete the file and teach again" in caplog.text
