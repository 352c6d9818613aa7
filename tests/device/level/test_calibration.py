"""Tests of the calibration by a calibrator's tone."""

import numpy as np
import pytest

from device.config.models import LevelConfig
from device.errors import InputError, UnavailableError
from device.level.calibration import CALIBRATION_FILE, LevelScale, calibrate, level_scale, store_calibration

RATE = 16000


def tone(frequency=1000.0, amplitude=0.1, seconds=7, noise=0.0):
    time = np.arange(seconds * RATE) / RATE
    hiss = np.random.default_rng(0).normal(0, noise, len(time)) if noise else 0
    return np.clip(32768 * (amplitude * np.sin(2 * np.pi * frequency * time) + hiss), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("frequency", [1000.0, 250.0])
@pytest.mark.parametrize("spl", [94.0, 114.0])
def test_a_calibrators_tone_has_its_level_afterwards(frequency, spl):
    """With a tone of 1 kHz or 250 Hz at -23 dBFS, digital full scale is the calibrator's level and 23 dB more."""
    assert calibrate(tone(frequency, noise=0.002), RATE, spl) == pytest.approx(spl + 23.0, abs=0.1)


@pytest.mark.parametrize(
    ("samples", "fault"),
    [
        (tone(seconds=2), "less than 3 s"),
        (tone(amplitude=1.2), "clipped"),
        (np.zeros(7 * RATE, np.int16), "silence"),
        (tone(500.0), "no tone"),
        (tone(2000.0), "no tone"),
        (tone(noise=0.1), "no tone"),
        (np.concatenate([tone(seconds=5), tone(amplitude=0.2, seconds=3)]), "varies by 6"),
    ],
    ids=["short", "clipped", "silence", "500 Hz", "2 kHz", "noise", "unsteady"],
)
def test_other_sounds_are_refused(samples, fault):
    """A sound that is no steady, pure tone of a calibrator is refused, with its fault and a cure."""
    with pytest.raises(InputError, match=fault):
        calibrate(samples, RATE, 94.0)


def test_the_config_has_priority_over_the_stored_calibration(tmp_path):
    """Without a calibration the unit is dBFS(A); a stored one makes it dB(A); that of the config has priority."""
    scale = level_scale(LevelConfig(), tmp_path)
    assert (scale.calibrated, scale.unit, scale(-30.04)) == (False, "dBFS(A)", -30.0)
    store_calibration(tmp_path, 117.01)
    assert level_scale(LevelConfig(), tmp_path) == LevelScale(117.01)
    scale = level_scale(LevelConfig(calibration_db=100.0), tmp_path)
    assert (scale.calibrated, scale.unit, scale(-30.04)) == (True, "dB(A)", 70.0)


def test_a_calibration_that_cannot_be_stored_is_an_error(tmp_path):
    """If the file cannot be written, the error contains the line for config.yaml."""
    (tmp_path / CALIBRATION_FILE).with_suffix(".new").mkdir()
    with pytest.raises(UnavailableError, match=r"set level.calibration_db to 117 in config.yaml"):
        store_calibration(tmp_path, 117.0)
