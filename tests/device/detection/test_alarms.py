"""Tests of alarm patterns: T3 and T4 become events, other rhythms do not."""

import dataclasses

import numpy as np
import pytest

from device.config.models import EventsConfig
from device.detection.alarm_events import AlarmEvents, Moment
from device.detection.alarm_pattern import T3, T4, Cadence
from device.detection.configured_names import pattern_thresholds
from device.detection.label_settings import LabelSetting, LabelSettings
from device.util.samples import to_int16

RATE = 16000
NOISE = np.random.default_rng(0).normal(0, 0.003, 60 * RATE)
PATTERNS = {"smoke_alarm_t3": T3, "carbon_monoxide_alarm_t4": T4}


def make_alarms(patterns=None):
    """Return the search for the patterns of the config, or for others, with their thresholds."""
    config = EventsConfig() if patterns is None else EventsConfig(alarm_patterns=patterns)
    return AlarmEvents(RATE, LabelSettings(pattern_thresholds(config), 0.0))


def beeps(
    cadence: Cadence, seconds: float, *, start: float = 2.0, hz: float = 3100.0, stretch: float = 1.0
) -> np.ndarray:
    """Return a tone in a cadence, shape (n,), full scale 1, over faint noise."""
    times = np.arange(int(seconds * RATE)) / RATE
    phase = (times - start) / stretch % cadence.cycle_seconds
    pulse = cadence.pulse_seconds + cadence.gap_seconds
    sounds = (times >= start) & (phase < cadence.group_seconds) & (phase % pulse < cadence.pulse_seconds)
    return 0.05 * np.sin(2 * np.pi * hz * times) * sounds + NOISE[: len(times)]


def run(signal, *, block=480, alarms=None, gate="level"):
    """Return the events of a signal, with times from its start."""
    alarms = alarms or make_alarms()
    samples, time_of = to_int16(signal), lambda position: position / RATE
    moment = Moment(time_of, lambda: -20.0, gate)
    parts = range(0, len(samples), block)
    events = [event for at in parts for event in alarms.update(samples[at : at + block], at, moment)]
    return events + list(alarms.end_all(time_of))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("hz", [520, 2900, 3100, 3450])
def test_an_alarm_is_one_event_with_its_times(pattern, hz):
    """An alarm starts after two groups of pulses, and ends with its last pulse."""
    cadence = PATTERNS[pattern]
    seconds = 2 + 3 * cadence.cycle_seconds
    start, end = run(np.concatenate([beeps(cadence, seconds, hz=hz), NOISE[: 12 * RATE]]))
    assert (start.type, end.type, start.label, start.vocabulary) == ("start", "end", pattern, "pattern")
    assert start.event_id == end.event_id
    assert start.start_time == pytest.approx(2, abs=0.15)
    assert end.end_time == pytest.approx(seconds - cadence.pause_seconds, abs=0.15)
    assert end.confidence >= start.confidence >= 0.8


@pytest.mark.parametrize("stretch", [0.92, 1.08])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_durations_may_be_off(pattern, stretch):
    """The standards allow durations that are off by 10 %."""
    assert [event.label for event in run(beeps(PATTERNS[pattern], 20, stretch=stretch))][:1] == [pattern]


OTHER_RHYTHMS = {
    "continuous tone": Cadence(1, 20.0, 0.0, 0.0),
    "beeps without a pause": dataclasses.replace(T3, pause_seconds=0.5),
    "two beeps": dataclasses.replace(T3, pulses=2),
    "four beeps": dataclasses.replace(T3, pulses=4),
    "half as fast": Cadence(3, 1.0, 1.0, 3.0),
    "twice as fast": Cadence(3, 0.25, 0.25, 0.75),
    "alarm clock": Cadence(4, 0.1, 0.1, 0.3),
    "T4 with five pulses": dataclasses.replace(T4, pulses=5),
    "reversing lorry": Cadence(1, 0.5, 0.0, 0.5),
}


@pytest.mark.parametrize("name", OTHER_RHYTHMS)
def test_another_rhythm_is_no_alarm(name):
    """A tone of another cadence becomes no event."""
    assert run(beeps(OTHER_RHYTHMS[name], 30)) == []


def test_a_tone_elsewhere_is_no_alarm():
    """The cadence of T3 at 1 kHz becomes no event."""
    assert run(beeps(T3, 20, hz=1000)) == []


def test_bursts_of_noise_are_no_alarm():
    """Hammering in the cadence of T3 has no tone."""
    envelope = np.abs(beeps(T3, 20) - NOISE[: 20 * RATE]) > 0
    assert run(NOISE[: 20 * RATE] * (1 + 20 * envelope)) == []


@pytest.mark.parametrize("block", [160, 4801, 50000])
def test_the_length_of_blocks_makes_no_difference(block):
    """The same sound gives the same events, whatever the number of samples that arrive together."""
    whole, parts = (
        [dataclasses.replace(event, event_id="") for event in run(beeps(T3, 12), block=each)] for each in (480, block)
    )
    assert whole == parts
    assert whole


def test_an_alarm_goes_on_after_lost_sound():
    """A gap of lost sound within an alarm makes no second event."""
    alarms, events = make_alarms(), []
    samples = to_int16(beeps(T3, 40))
    moment = Moment(lambda position: position / RATE, lambda: -20.0, "level")
    for at in range(0, len(samples), 480):
        if not 20 * RATE <= at < 20.5 * RATE:
            events += alarms.update(samples[at : at + 480], at, moment)
    assert [event.type for event in events] == ["start"]


def test_nothing_is_searched_while_the_gate_is_shut():
    """A beep too faint for the gate is not searched: quiet costs nothing."""
    assert run(beeps(T3, 20), gate=None) == []


def test_a_pattern_can_be_turned_off():
    """A pattern without a threshold in the config becomes no event; the threshold of the other one can change."""
    alarms = make_alarms({"smoke_alarm_t3": 0.8})
    assert run(beeps(T4, 20), alarms=alarms) == []
    settings = LabelSettings(pattern_thresholds(EventsConfig()), 0.0)
    settings.change("smoke_alarm_t3", LabelSetting(1.01, 0.0))
    assert run(beeps(T3, 20), alarms=AlarmEvents(RATE, settings)) == []
    assert run(beeps(T3, 20), alarms=make_alarms({})) == []


def test_a_switch_and_a_cool_down_apply():
    """A pattern that is switched off starts no event, and one that cools down starts no other."""
    signal = np.concatenate([beeps(T3, 14), NOISE[: 20 * RATE], beeps(T3, 14)])
    for cooldown, enabled, count in ((0.0, True, 2), (60.0, True, 1), (0.0, False, 0)):
        settings = LabelSettings(pattern_thresholds(EventsConfig()), 0.0)
        settings.change("smoke_alarm_t3", LabelSetting(0.8, cooldown, enabled))
        events = run(signal, alarms=AlarmEvents(RATE, settings))
        assert [event.type for event in events] == ["start", "end"] * count
