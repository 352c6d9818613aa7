"""Periods of the day: day, evening and night, with Lden and Lnight (directive 2002/49/EC, annex I)."""

import math
from collections.abc import Mapping
from typing import Literal, get_args

from device.config.models import LevelConfig

Period = Literal["day", "evening", "night"]
PERIODS: tuple[Period, ...] = get_args(Period)
_PENALTIES_DB = {"day": 0.0, "evening": 5.0, "night": 10.0}


def period_of(hour: int, config: LevelConfig) -> Period:
    """Return the period of an hour of the local clock, 0 to 23."""
    if config.day_hour <= hour < config.evening_hour:
        return "day"
    return "evening" if config.evening_hour <= hour < config.night_hour else "night"


def limit_of(period: Period, config: LevelConfig) -> float | None:
    """Return the limit of a period, dB; None without one."""
    limits = {"day": config.limit_day_db, "evening": config.limit_evening_db, "night": config.limit_night_db}
    return limits[period]


def lden(laeq: Mapping[Period, float], config: LevelConfig) -> float | None:
    """Compute the day-evening-night level: 5 dB are added to the evening, 10 dB to the night.

    Args:
        laeq: LAeq of the periods that were measured, dB.
        config: hours at which the periods begin.

    Returns:
        dB; None unless all three periods were measured.
    """
    day, evening = config.evening_hour - config.day_hour, config.night_hour - config.evening_hour
    hours = {"day": day, "evening": evening, "night": 24 - day - evening}
    if any(period not in laeq for period in PERIODS):
        return None
    energy = sum(hours[period] * 10 ** ((laeq[period] + _PENALTIES_DB[period]) / 10) for period in PERIODS)
    return 10 * math.log10(energy / 24)
