import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.audio.signal_diagnosis import DIAGNOSIS_SECONDS, SignalDiagnosis
from device.util.samples import mean_of_channels

RATE = 16000


def diagnose(samples, seconds=6.0, speed=1.0):
    """Feed the same tenth of a second repeatedly, at a multiple of its sample rate."""
    diagnosis = SignalDiagnosis(RATE)
    for tenth in range(round(seconds * 10)):
        diagnosis.feed(samples, mean_of_channels(samples), tenth * 0.1 / speed)
    return diagnosis.state


NOISE = np.random.default_rng(0).integers(-500, 500, (1600, 1)).astype(np.int16)


@pytest.mark.parametrize(
    ("samples", "options", "state"),
    [
        (NOISE, {}, "ok"),
        (np.zeros((1600, 2), np.int16), {"seconds": 66}, "silent"),
        (np.full((1600, 1), 123, np.int16), {"seconds": 66}, "dc"),
        (np.zeros((0, 1), np.int16), {}, "ok"),
        (np.clip(NOISE.astype(int) * 100, -32768, 32767).astype(np.int16), {}, "clipping"),
        (NOISE, {"seconds": 80, "speed": 1.0}, "ok"),
        (NOISE, {"seconds": 80, "speed": 0.9}, "wrong_rate"),
        (NOISE, {"seconds": 90, "speed": 1.1}, "wrong_rate"),
    ],
)
def test_each_fault_has_its_state(samples, options, state):
    """Zeros, a constant, clipping and a wrong rate each have their state; without a fault, or a sample, it is ok."""
    assert diagnose(samples, **options) == state


@settings(deadline=None, max_examples=60)
@given(
    level=st.floats(0.3, 12.0),
    offset=st.integers(-30000, 30000),
    channels=st.integers(1, 2),
    click=st.booleans(),
)
def test_silence_is_measured_as_exactly_as_with_integers(level, offset, channels, click):
    """Near the bound of silence, with any offset and a click at the start, the state is that of exact arithmetic."""
    generator = np.random.default_rng(round(level * 1000))
    signal = (generator.normal(0, level, (5 * RATE, channels)) + offset).round().clip(-32700, 32700)
    signal[0] = 32700 if click else signal[0]
    variance = signal.mean(axis=1).var()
    bound = 32768**2 * 10**-8.5
    diagnosis = SignalDiagnosis(RATE, DIAGNOSIS_SECONDS)
    for start in range(0, len(signal), 4000):
        samples = signal[start : start + 4000].astype(np.int16)
        diagnosis.feed(samples, mean_of_channels(samples), start / RATE)
    if not 0.999 < variance / bound < 1.001:
        assert diagnosis.state == ("ok" if variance > bound else "silent")


@settings(deadline=None, max_examples=30)
@given(lengths=st.lists(st.integers(400, 3 * RATE), min_size=1, max_size=5))
def test_a_diagnosis_is_due_after_its_sound_for_any_lengths_of_reads(lengths):
    """The state is that of the first five seconds as soon as they are there, although reads are measured together."""
    diagnosis, count, number = SignalDiagnosis(RATE, DIAGNOSIS_SECONDS), 0, 0
    while count < DIAGNOSIS_SECONDS * RATE:
        assert diagnosis.state == "ok"
        silence = np.zeros((lengths[number % len(lengths)], 1), np.int16)
        diagnosis.feed(silence, mean_of_channels(silence), count / RATE)
        count, number = count + len(silence), number + 1
    assert diagnosis.state == "silent"
