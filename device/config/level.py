"""Settings of the sound level: calibration, time weighting, storage, times of the day and limits."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from device.config.base import Section

_Decibels = Annotated[float, Field(ge=0, le=140)]


class LevelConfig(Section):
    """Sound level: LAeq, LAmax and percentiles of each minute and event (docs/level.md)."""

    enabled: bool = True
    """Measure and publish the sound level."""
    calibration_db: Annotated[float, Field(ge=0, le=200)] | None = None
    """Sound level of a sine or noise at 0 dBFS(A), in dB. null: as stored by `earshot level calibrate`; without it,
    levels are uncalibrated, in dBFS(A)."""
    time_weighting: Literal["fast", "slow"] = "fast"
    """Time weighting of LAmax, LA10, LA50 and LA90: fast (0.125 s) or slow (1 s)."""
    days: Annotated[float, Field(ge=0, le=3650)] = 365.0
    """Age from which the level of a minute is deleted, in days. A day takes at most 0.2 MB. 0 stores none."""
    day_hour: Annotated[int, Field(ge=0, le=23)] = 7
    """Hour of the local clock at which the day begins, for Lden and the limits."""
    evening_hour: Annotated[int, Field(ge=0, le=23)] = 19
    """Hour of the local clock at which the evening begins."""
    night_hour: Annotated[int, Field(ge=0, le=23)] = 23
    """Hour of the local clock at which the night begins."""
    limit_day_db: _Decibels | None = None
    """LAeq of the day above which `earshot diary` marks an hour or event, in dB; null: no limit."""
    limit_evening_db: _Decibels | None = None
    """The same for the evening, in dB; null: no limit."""
    limit_night_db: _Decibels | None = None
    """The same for the night, in dB; null: no limit."""

    @model_validator(mode="after")
    def _hours_rise(self) -> Self:
        if not self.day_hour < self.evening_hour < self.night_hour:
            raise ValueError("day_hour, evening_hour and night_hour must rise in this order")
        return self
