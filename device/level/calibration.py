"""Calibration: offset from dBFS(A) to dB(A), from the config or from a calibrator's tone."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from device.config.models import LevelConfig
from device.errors import InputError, UnavailableError
from device.level.meter import LevelMeter
from device.level.statistics import SILENCE_DB, LevelStatistics, SoundLevel
from device.level.weighting import weighting_db
from device.types import Samples
from device.util.json_store import JsonStore

CALIBRATION_FILE = "level.json"
"""Name of the file in the state directory."""
SETTLING_SECONDS = 2.0
"""First part of the tone that is not measured, s: the calibrator is still being pushed on."""
MEASURED_SECONDS = 5.0
_LONGEST_CHANGE_DB = 1.0
"""Largest range of the fast level of a steady tone, dB."""
_TONES = (1000.0, 250.0)
"""Frequencies of calibrators, Hz. C weighting is 0 dB at both."""
_TONE_TOLERANCE_DB = 0.5
_PURITY = 0.9
"""Least share of the energy that is in the tone."""
_CLIPPED = 32700
"""Sample value from which a tone counts as clipped."""


class Calibration(BaseModel):
    """Stored calibration."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    calibration_db: float | None = None
    """Sound level of 0 dBFS(A), dB; None: uncalibrated."""


@dataclass(frozen=True)
class LevelScale:
    """Scale of all levels: dB with a calibration, else dBFS(A).

    Attributes:
        calibration_db: offset, dB; None without a calibration.
    """

    calibration_db: float | None

    @property
    def calibrated(self) -> bool:
        """State of the calibration: True if levels are sound levels, in dB(A)."""
        return self.calibration_db is not None

    @property
    def unit(self) -> str:
        """Unit of A-weighted levels."""
        return "dB(A)" if self.calibrated else "dBFS(A)"

    def __call__(self, dbfs: float) -> float:
        """Convert a level in dBFS(A), rounded to a tenth."""
        return round(dbfs + (self.calibration_db or 0.0), 1)

    def fields(self, level: SoundLevel) -> dict[str, float]:
        """Return the levels of a span under their names in JSON."""
        return {
            "laeq_db": self(level.laeq),
            "lamax_db": self(level.lamax),
            "la10_db": self(level.la10),
            "la50_db": self(level.la50),
            "la90_db": self(level.la90),
        }


def level_scale(config: LevelConfig, state: Path) -> LevelScale:
    """Return the scale: of the config, else the stored one, else none.

    Args:
        config: `level.calibration_db`.
        state: state directory.
    """
    if config.calibration_db is not None:
        return LevelScale(config.calibration_db)
    return LevelScale(JsonStore(state / CALIBRATION_FILE, Calibration).content.calibration_db)


def store_calibration(state: Path, calibration_db: float) -> None:
    """Store a calibration in the state directory.

    Raises:
        UnavailableError: the file cannot be written.
    """
    path = state / CALIBRATION_FILE
    JsonStore(path, Calibration).update(calibration_db=calibration_db)
    if JsonStore(path, Calibration).content.calibration_db != calibration_db:
        raise UnavailableError(
            f"{path}: the calibration cannot be stored. Make the folder writable, or set level.calibration_db to "
            f"{calibration_db:g} in config.yaml"
        )


def calibrate(samples: Samples, sample_rate: int, spl: float) -> float:
    """Compute the calibration from a calibrator's tone. The tone must be steady, of 1 kHz or 250 Hz, and not clipped.

    Args:
        samples: the tone, shape (n,), int16; its first 2 s are not measured.
        sample_rate: Hz.
        spl: sound pressure level of the calibrator, dB.

    Returns:
        Sound level of 0 dBFS(A), dB, to a hundredth.

    Raises:
        InputError: the samples are too few, or are no such tone.
    """
    settling = round(SETTLING_SECONDS * sample_rate)
    if len(samples) < settling + sample_rate:
        raise InputError("calibration: less than 3 s of sound. Keep the calibrator on the microphone for longer")
    if int(np.abs(samples[settling:].astype(np.int32)).max()) >= _CLIPPED:
        raise InputError("calibration: the tone is clipped. Lower the microphone's gain, in alsamixer, and repeat")
    meter, statistics = LevelMeter(sample_rate, with_c=True), LevelStatistics()
    meter.feed(samples[:settling])
    meter.drain()
    for steps in (meter.feed(samples[settling:]), meter.drain()):
        statistics.add(steps)
    result = statistics.result()
    if result is None or result.lceq is None or result.lceq <= SILENCE_DB:
        raise InputError("calibration: the microphone delivers silence. `earshot devices --meter` finds the fault")
    if result.la10 - result.la90 > _LONGEST_CHANGE_DB:
        raise InputError(
            f"calibration: the level varies by {result.la10 - result.la90:.1f} dB, so it is no calibrator's tone. "
            "Push the microphone fully into the calibrator, switch it on, and wait until it is steady"
        )
    if not _is_tone(result.laeq - result.lceq) or _purity(samples[settling:]) < _PURITY:
        raise InputError(
            "calibration: the sound is no tone of 1 kHz or 250 Hz. Switch the calibrator on, and keep other sounds away"
        )
    return round(spl - result.lceq, 2)


def _is_tone(difference_db: float) -> bool:
    """Return whether the difference of A and C weighting is that of a calibrator's tone."""
    expected = weighting_db(np.array(_TONES), "A") - weighting_db(np.array(_TONES), "C")
    return bool(np.any(np.abs(expected - difference_db) < _TONE_TOLERANCE_DB))


def _purity(samples: Samples) -> float:
    """Return the share of the energy that lies within 3 bins of the strongest one, 0 to 1, without the mean."""
    signal = samples - samples.mean()
    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
    peak = int(power.argmax())
    total = float(power.sum())
    return float(power[max(0, peak - 3) : peak + 4].sum()) / total if math.isfinite(total) and total > 0 else 0.0
