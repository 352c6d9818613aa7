"""Tests of LAeq, LAmax and the percentiles, against filters of scipy.signal at a multiple of the sample rate."""

import numpy as np
import pytest
from scipy import signal

from device.level.meter import LevelMeter
from device.level.statistics import LevelStatistics

RATE = 16000
OVERSAMPLING = 8
F1, F2, F3, F4 = 20.598997, 107.65265, 737.86223, 12194.217


def reference_squares(samples, weighting="A"):
    """Weight samples by the analogue filter of the standard, after the bilinear transform at eight times the rate.

    Returns:
        Squares at RATE * OVERSAMPLING, relative to full scale 1.
    """
    poles = [F1, F1, F4, F4, *([F2, F3] if weighting == "A" else [])]
    zeros = [0.0] * (4 if weighting == "A" else 2)
    _, gain = signal.freqs_zpk(zeros, [-2 * np.pi * pole for pole in poles], 1.0, [2 * np.pi * 1000])
    zpk = (zeros, [-2 * np.pi * pole for pole in poles], 1 / abs(gain[0]))
    sos = signal.zpk2sos(*signal.bilinear_zpk(*zpk, RATE * OVERSAMPLING))
    return signal.sosfilt(sos, signal.resample_poly(samples / 32768, OVERSAMPLING, 1)) ** 2


def reference_average(squares, seconds):
    """Average squares exponentially, sample by sample."""
    decay = np.exp(-1 / (RATE * OVERSAMPLING * seconds))
    return signal.lfilter([1 - decay], [1, -decay], squares)


def db(square):
    return 10 * np.log10(square)


def measure(samples, weighting="fast"):
    """Measure samples in blocks of 30 ms."""
    meter, statistics = LevelMeter(RATE, weighting, with_c=True), LevelStatistics()
    for start in range(0, len(samples), 480):
        statistics.add(meter.feed(samples[start : start + 480]))
    statistics.add(meter.drain())
    return statistics.result()


def pink_noise(seconds):
    """Make pink noise of -20 dBFS, from 20 Hz to 7 kHz."""
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(1).normal(size=count))
    frequencies = np.fft.rfftfreq(count, 1 / RATE)
    inside = (frequencies > 20) & (frequencies < 7000)
    noise = np.fft.irfft(np.where(inside, spectrum / np.sqrt(np.maximum(frequencies, 1)), 0), count)
    return np.rint(3276.8 * noise / noise.std()).astype(np.int16)


def bursts(frequency, length):
    """Make a burst of a tone at -6 dB each second, for 5 s, after a second of silence."""
    time = np.arange(6 * RATE) / RATE
    on = (time % 1 < length) & (time >= 1)
    return np.rint(16384 * np.sin(2 * np.pi * frequency * time) * on).astype(np.int16)


SOUNDS = {
    "pink": pink_noise(6),
    "long bursts": bursts(1000, 0.5),
    "short bursts": bursts(3150, 0.05),
    "low bursts": bursts(100, 0.2),
}


@pytest.mark.parametrize("samples", SOUNDS.values(), ids=SOUNDS)
@pytest.mark.parametrize(("weighting", "seconds"), [("fast", 0.125), ("slow", 1.0)])
def test_levels_are_those_of_the_reference(samples, weighting, seconds):
    """LAeq, LCeq and LAmax are within 0.2 dB of an independent computation, sample by sample."""
    squares = reference_squares(samples)
    averages = reference_average(squares, seconds)
    result = measure(samples, weighting)
    assert result.seconds == pytest.approx(len(samples) / RATE)
    assert result.laeq == pytest.approx(db(squares.mean()), abs=0.05)
    assert result.lceq == pytest.approx(db(reference_squares(samples, "C").mean()), abs=0.05)
    assert result.lamax == pytest.approx(db(averages.max()), abs=0.2)


def test_percentiles_are_those_of_the_reference():
    """LA10, LA50 and LA90 of pink noise are within 0.2 dB of the percentiles of the reference's fast level."""
    samples = SOUNDS["pink"]
    levels = db(np.maximum(reference_average(reference_squares(samples), 0.125), 1e-14))
    result = measure(samples)
    expected = np.percentile(levels, [90, 50, 10])
    np.testing.assert_allclose([result.la10, result.la50, result.la90], expected, atol=0.2)


@pytest.mark.parametrize(
    ("seconds", "fast", "slow"), [(1.0, 0.0, -2.0), (0.5, -0.1, -4.1), (0.2, -1.0, -7.4), (0.05, -4.8, -13.1)]
)
def test_tone_bursts_are_within_class_1(seconds, fast, slow):
    """A burst of 4 kHz rises to the fast and slow levels of table 4 of IEC 61672-1, within 0.3 dB."""
    time = np.arange(4 * RATE) / RATE
    tone = 16384 * np.sin(2 * np.pi * 4000 * time)
    steady = measure(np.rint(tone).astype(np.int16)).laeq
    burst = np.rint(tone * ((time >= 1) & (time < 1 + seconds))).astype(np.int16)
    assert measure(burst, "fast").lamax - steady == pytest.approx(fast, abs=0.3)
    assert measure(burst, "slow").lamax - steady == pytest.approx(slow, abs=0.3)


def test_silence_and_nothing():
    """Digital silence has the lowest level; less than 50 ms of sound has none."""
    silence = measure(np.zeros(RATE, np.int16))
    assert (silence.laeq, silence.lamax, silence.lceq) == (-140.0, -140.0, -140.0)
    assert -140.0 <= silence.la90 <= silence.la10 <= -139.9
    assert measure(np.zeros(100, np.int16)) is None
    assert measure(np.zeros(0, np.int16)) is None
