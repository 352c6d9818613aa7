import numpy as np
import pytest

from device.audio.signal_diagnosis import SignalDiagnosis

RATE = 16000


def diagnose(samples, seconds=6.0, speed=1.0):
    """Feed the same tenth of a second repeatedly, at a multiple of its sample rate."""
    diagnosis = SignalDiagnosis(RATE)
    for tenth in range(round(seconds * 10)):
        diagnosis.feed(samples, tenth * 0.1 / speed)
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
