"""Tests of the frequency weighting against the table of IEC 61672-1:2013."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from device.level.meter import LevelMeter
from device.level.statistics import LevelStatistics
from device.level.weighting import WeightingFilter, impulse_response, weighting_db

INF = math.inf
# Nominal frequency in Hz, weighting A and C in dB, acceptance limits of class 1 in dB: table 3 of IEC 61672-1:2013.
TABLE = (
    (10, -70.4, -14.3, 3.0, -INF),
    (12.5, -63.4, -11.2, 2.5, -INF),
    (16, -56.7, -8.5, 2.0, -4.0),
    (20, -50.5, -6.2, 2.0, -2.0),
    (25, -44.7, -4.4, 2.0, -1.5),
    (31.5, -39.4, -3.0, 1.5, -1.5),
    (40, -34.6, -2.0, 1.0, -1.0),
    (50, -30.2, -1.3, 1.0, -1.0),
    (63, -26.2, -0.8, 1.0, -1.0),
    (80, -22.5, -0.5, 1.0, -1.0),
    (100, -19.1, -0.3, 1.0, -1.0),
    (125, -16.1, -0.2, 1.0, -1.0),
    (160, -13.4, -0.1, 1.0, -1.0),
    (200, -10.9, 0.0, 1.0, -1.0),
    (250, -8.6, 0.0, 1.0, -1.0),
    (315, -6.6, 0.0, 1.0, -1.0),
    (400, -4.8, 0.0, 1.0, -1.0),
    (500, -3.2, 0.0, 1.0, -1.0),
    (630, -1.9, 0.0, 1.0, -1.0),
    (800, -0.8, 0.0, 1.0, -1.0),
    (1000, 0.0, 0.0, 0.7, -0.7),
    (1250, 0.6, 0.0, 1.0, -1.0),
    (1600, 1.0, -0.1, 1.0, -1.0),
    (2000, 1.2, -0.2, 1.0, -1.0),
    (2500, 1.3, -0.3, 1.0, -1.0),
    (3150, 1.2, -0.5, 1.0, -1.0),
    (4000, 1.0, -0.8, 1.0, -1.0),
    (5000, 0.5, -1.3, 1.5, -1.5),
    (6300, -0.1, -2.0, 1.5, -2.0),
    (8000, -1.1, -3.0, 1.5, -2.5),
    (10000, -2.5, -4.4, 2.0, -3.0),
    (12500, -4.3, -6.2, 2.0, -5.0),
    (16000, -6.6, -8.5, 2.5, -16.0),
    (20000, -9.3, -11.2, 3.0, -INF),
)


def exact(nominal):
    """Return the exact frequency of a nominal one, Hz: a power of 10^0.1."""
    return 10 ** (round(10 * math.log10(nominal)) / 10)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]:g}")
def test_the_formula_is_the_standards_table(row):
    """The formula gives the tabulated weighting at each exact frequency, to its tenth of a dB."""
    for weighting, expected in zip("AC", row[1:3], strict=True):
        assert float(weighting_db(np.array([exact(row[0])]), weighting)[0]) == pytest.approx(expected, abs=0.051)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_the_filters_are_within_class_1(rate):
    """The designed filters are within half of class 1's limits at each nominal frequency below half the sample rate."""
    rows = [row for row in TABLE if exact(row[0]) < rate / 2]
    assert rows[-1][0] == (20000 if rate > 40000 else 8000)
    for column, weighting in ((1, "A"), (2, "C")):
        response = impulse_response(rate, weighting)
        for row in rows:
            gain = abs(np.exp(-2j * np.pi * exact(row[0]) / rate * np.arange(len(response))) @ response)
            error = 20 * math.log10(gain) - row[column]
            assert row[4] / 2 <= error <= row[3] / 2, (weighting, row[0], error)


@pytest.mark.parametrize("nominal", [10, 16, 31.5, 63, 250, 1000, 4000, 6300, 8000])
def test_the_meter_is_within_class_1(nominal):
    """A whole meter, with 16-bit samples of a tone in blocks of 30 ms, is within class 1's limits at 16 kHz."""
    _, a_weighting, c_weighting, above, below = next(row for row in TABLE if row[0] == nominal)
    time = np.arange(3 * 16000) / 16000
    tone = np.rint(32767 * np.sin(2 * np.pi * exact(nominal) * time)).astype(np.int16)
    meter, statistics = LevelMeter(16000, with_c=True), LevelStatistics()
    meter.feed(tone[:16000])
    meter.drain()  # the onset is over
    for start in range(16000, len(tone), 480):
        statistics.add(meter.feed(tone[start : start + 480]))
    statistics.add(meter.drain())
    result = statistics.result()
    level = -3.01
    assert below <= result.laeq - level - a_weighting <= above
    assert below <= result.lceq - level - c_weighting <= above


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 30000), min_size=1, max_size=12), st.sampled_from([1, 80]))
def test_the_stream_is_one_convolution(lengths, step):
    """Whatever the lengths of the parts, and drained between them, the stream is convolved as if in one piece."""
    stream, rng = WeightingFilter(8000, step, "AC"), np.random.default_rng(len(lengths))
    samples = rng.integers(-20000, 20000, sum(lengths)).astype(np.int16)
    parts, position = [], 0
    for index, length in enumerate(lengths):
        parts.append(stream.feed(samples[position : position + length]))
        position += length
        if index % 3 == 2:
            parts.append(stream.drain())
    parts.append(stream.drain())
    weighted = np.concatenate([np.empty((2, 0)), *(part for part in parts if part is not None)], axis=1)
    assert weighted.shape == (2, len(samples) // step * step)
    if not weighted.size:
        return
    constant = np.full(4000, samples[0])  # the stream continues its first sample into the past
    whole = np.concatenate([constant, samples]) / 32768
    for row, weighting in zip(weighted, "AC", strict=True):
        expected = signal.fftconvolve(whole, impulse_response(8000, weighting))[4000:][: len(row)]
        np.testing.assert_allclose(row, expected, atol=3e-6)


def test_a_constant_offset_has_no_level():
    """The offset of a cheap sound card, from its first sample on, and after a gap, is silence, and no click."""
    meter, loudest = LevelMeter(16000), 0.0
    for offset in (3000, -2000):
        samples = np.full(20000, offset, np.int16)
        loudest = max(loudest, *(float(s.a_squares.max(initial=0)) for s in (meter.feed(samples), meter.drain())))
        meter.restart()
    assert 10 * math.log10(loudest) < -100
