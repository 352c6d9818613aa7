"""Tests of the level monitor: minutes of the clock, events, gaps."""

import numpy as np
import pytest

from device.level.monitor import LevelMonitor
from device.types import Blocks, SourceLost

RATE = 8000
LENGTH = 240
START = 1_800_000_000.0  # the start of a minute


def tone(seconds, amplitude):
    """Make a tone of 1 kHz, whose weighting is 0 dB: its level is 20 lg(amplitude) - 3.01."""
    return np.rint(32767 * amplitude * np.sin(2 * np.pi * np.arange(round(seconds * RATE)) / 8)).astype(np.int16)


def blocks(samples, position=0, start=START):
    """Cut samples into blocks of 30 ms."""
    return [
        Blocks(samples[at : at + LENGTH], position + at, start + at / RATE) for at in range(0, len(samples), LENGTH)
    ]


class Minutes(list):
    """Received minutes: number, levels, and counted samples."""

    def __call__(self, minute, level, statistics):
        self.append((minute, level, int(statistics.counts.sum())))


def monitor(minutes, kept_seconds=600.0, utc=lambda time: time):
    return LevelMonitor(RATE, "fast", kept_seconds, utc, minutes)


def test_items_pass_unchanged_and_minutes_are_those_of_the_clock():
    """Each item is yielded; a stream from second 50 on has minutes of 10, 60 and 20 s with their levels."""
    samples = np.concatenate([tone(10, 0.1), tone(60, 0.01), tone(20, 0.1)])
    items, minutes = blocks(samples, start=START + 50), Minutes()
    assert list(monitor(minutes).measure(items)) == items
    assert [minute - START / 60 for minute, _, _ in minutes] == [0, 1, 2]
    assert [level.seconds for _, level, _ in minutes] == pytest.approx([10, 60, 20], abs=0.02)
    assert [level.laeq for _, level, _ in minutes] == pytest.approx([-23.0, -43.0, -23.0], abs=0.05)
    assert [count for *_, count in minutes] == pytest.approx([200, 1200, 400], abs=1)


def test_minutes_follow_the_clock_that_network_time_sets():
    """The minute is that of the system clock, and not of the times of the blocks."""
    minutes = Minutes()
    list(monitor(minutes, utc=lambda time: time + 3600).measure(blocks(tone(2, 0.1))))
    assert [minute for minute, *_ in minutes] == [START / 60 + 60]


def test_a_break_ends_the_minute_and_a_gap_does_not():
    """A lost source, or a muted one, ends the minute early; after lost samples it goes on without a click."""
    loud = tone(5, 0.1)
    gap = [*blocks(loud), *blocks(loud, position=20 * RATE, start=START + 20)]
    minutes = Minutes()
    list(monitor(minutes).measure(gap))
    assert [level.seconds for _, level, _ in minutes] == pytest.approx([10.0], abs=0.02)
    assert minutes[0][1].lamax == pytest.approx(-23.0, abs=0.1)
    minutes = Minutes()
    lost = [*blocks(loud), SourceLost(5 * RATE), SourceLost(5 * RATE), *blocks(loud, 20 * RATE, START + 20)]
    assert list(monitor(minutes).measure(lost)) == lost
    assert [level.seconds for _, level, _ in minutes] == pytest.approx([5.0, 5.0], abs=0.02)


def test_the_level_of_an_event_is_that_of_its_span():
    """An event of 2 s, 20 dB above its background, has its own LAeq and LAmax, and a rise of 20 dB."""
    meter = monitor(Minutes())
    samples = np.concatenate([tone(20, 0.01), tone(2, 0.1), tone(20, 0.01)])
    seen = {}
    for block in meter.measure(blocks(samples)):
        if abs(block.time - START - 21.0) < 0.001:
            seen["start"] = meter.span_level(START + 20, None)
    for when, level in {**seen, "end": meter.span_level(START + 20, START + 22)}.items():
        assert level.laeq == pytest.approx(-23.0, abs=0.1), when
        assert level.lamax == pytest.approx(-23.0, abs=0.1), when
        assert level.rise == pytest.approx(20.0, abs=0.2), when


def test_an_event_without_a_background_has_no_rise():
    """Less than 5 s before the event give no background; a span that was not measured has no level."""
    meter = monitor(Minutes())
    list(meter.measure(blocks(tone(10, 0.1))))
    assert meter.span_level(START + 4, START + 6).rise is None
    assert meter.span_level(START + 6, START + 8).rise == pytest.approx(0.0, abs=0.2)
    assert meter.span_level(START + 100, START + 102) is None
    assert monitor(Minutes()).span_level(START, None) is None


def test_the_memory_is_bounded():
    """Only the last minutes are kept: the longest event, and its background."""
    meter = monitor(Minutes(), kept_seconds=30.0)
    list(meter.measure(blocks(tone(300, 0.1))))
    assert meter.span_level(START + 100, START + 110) is None
    assert meter.span_level(START + 269, START + 299) is not None
    assert sum(len(part.averages) for part in meter._recent) < 95 * 200
