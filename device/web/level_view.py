"""Level view: sound level of one local day, as a curve of LAeq and its statistics."""

import math
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import fmean
from typing import Final

from device.config.models import LevelConfig
from device.errors import UnavailableError
from device.level.diary import diary_levels
from device.level.statistics import SoundLevel, decibels
from device.level.table import LevelReader
from device.util.local_time import start_of_day

STEP_SECONDS: Final = 300
"""Time of one point of the curve, s."""
HEIGHT: Final = 100
"""Height of the curve, in units of its picture. Its width is a unit for each minute."""
_GRID_DB: Final = 10


@dataclass(frozen=True)
class LevelView:
    """Sound level of one day.

    Attributes:
        total: LAeq, LAmax and the exceeded levels of the day.
        unit: dB(A), or dBFS(A) without a calibration.
        path: curve of LAeq, as the data of an SVG path.
        low: level at its bottom, dB.
        high: level at its top, dB.
    """

    total: SoundLevel
    unit: str
    path: str
    low: int
    high: int


def view_levels(path: Path, day: date, config: LevelConfig) -> LevelView | None:
    """Read the levels of one day; None where none are stored, or the file cannot be read.

    Args:
        path: the database file of the levels.
        day: local date.
        config: periods and limits.
    """
    start, end = start_of_day(day), start_of_day(day + timedelta(days=1))
    try:
        with LevelReader(path) as reader:
            levels = diary_levels(reader, start, end, config)
    except UnavailableError:  # the page is about events first; `earshot diary` reports the fault
        return None
    if levels.total is None:
        return None
    points = _means(levels.plot, start)
    low = _GRID_DB * math.floor(min(points.values()) / _GRID_DB)
    high = max(low + _GRID_DB, _GRID_DB * math.ceil(max(points.values()) / _GRID_DB))
    return LevelView(levels.total, levels.unit, _path(points, low, high), low, high)


def _means(plot: list[tuple[float, float]], start: float) -> dict[int, float]:
    """Return the energy mean of the minutes in each step of the day, dB, by the number of the step."""
    squares: dict[int, list[float]] = {}
    for time, level in plot:
        squares.setdefault(int((time - start) // STEP_SECONDS), []).append(10.0 ** (level / 10.0))
    return {step: decibels(fmean(values)) for step, values in squares.items()}


def _path(points: dict[int, float], low: int, high: int) -> str:
    """Return the curve. It is interrupted where nothing was measured."""
    commands, width = [], STEP_SECONDS // 60
    for step, level in points.items():
        y = round(HEIGHT * (high - level) / (high - low), 1)
        commands.append(f"{'L' if step - 1 in points else 'M'}{step * width} {y}h{width}")
    return "".join(commands)
