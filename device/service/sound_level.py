"""Sound level of a run: measures the blocks, publishes and stores each minute, and describes events."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from device.config.models import Config
from device.detection.noise_floor import BandLevels
from device.level.band_levels import band_weights_db, total_db
from device.level.calibration import level_scale
from device.level.minutes import MINUTE_SECONDS, minute_level
from device.level.monitor import LevelMonitor
from device.level.statistics import LevelStatistics, SoundLevel
from device.level.table import LEVELS_FILE
from device.level.writer import LevelWriter
from device.mqtt.messages import SCHEMA, encode
from device.types import Blocks, Event, PublishState, SourceLost
from device.util.clock import CLOCK, Clock, rfc3339

_LIVE_SECONDS = 1.0
"""Sound of which live values contain the level, s."""


class SoundLevels:
    """Sound level meter of the daemon; a context manager. With `level.enabled: false`, it measures nothing.

    Args:
        config: of the level, the history's free space and the node.
        sample_rate: Hz, of the blocks.
        state: state directory.
        clock: converts the times of blocks.
    """

    def __init__(self, config: Config, sample_rate: int, state: Path, clock: Clock = CLOCK) -> None:
        self._config = config
        self._sample_rate = sample_rate
        self._clock = clock
        self._scale = level_scale(config.level, state)
        self._monitor: LevelMonitor | None = None
        self._writer: LevelWriter | None = None
        if config.level.enabled and config.level.days > 0:
            self._writer = LevelWriter(state / LEVELS_FILE, config.level.days, config.history.free_megabytes)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Start storing."""
        if self._writer is not None:
            self._open.enter_context(self._writer)
        return self

    def __exit__(self, *_: object) -> None:
        """Store the last minutes."""
        self._open.close()

    @property
    def calibrated(self) -> bool | None:
        """State of the calibration: True for calibrated levels, None if levels are not measured."""
        return self._scale.calibrated if self._config.level.enabled else None

    def measure(
        self, items: Iterable[Blocks | SourceLost], publish_state: PublishState
    ) -> Iterable[Blocks | SourceLost]:
        """Measure a source's blocks, and yield every item unchanged. Publish the level of each minute on `level`."""
        level = self._config.level
        if not level.enabled:
            return items

        def on_minute(minute: int, result: SoundLevel, statistics: LevelStatistics) -> None:
            publish_state("level", encode(self._message(minute, result)))
            if self._writer is not None:
                synced = self._clock.synced()
                offset = self._scale.calibration_db
                self._writer.add(minute_level(minute, result, statistics, offset, clock_synced=synced))

        kept_seconds = self._config.events.maximum_seconds
        self._monitor = LevelMonitor(self._sample_rate, level.time_weighting, kept_seconds, self._clock.utc, on_minute)
        return self._monitor.measure(items)

    def now(self, bands: BandLevels | None) -> dict[str, Any]:
        """Return the fields of the level in live values, with what the gate measures.

        The level is LAeq of the last second of sound. If levels are not measured, it is that of the gate's last 0.12 s,
        like the noise floor: both are weighted band by band.

        Args:
            bands: levels of the gate; None before the first ones.
        """
        laeq = self._monitor.recent_laeq(_LIVE_SECONDS) if self._monitor is not None else None
        if bands is None:
            floor = None
        else:
            weights = band_weights_db(bands.edges_hz, self._sample_rate)
            floor = total_db(bands.floor_dbfs, weights)
            laeq = total_db(bands.levels_dbfs, weights) if laeq is None else laeq
        return {
            "level_db": None if laeq is None else self._scale(laeq),
            "noise_floor_db": None if floor is None else self._scale(floor),
            "calibrated": self._scale.calibrated,
        }

    def of_event(self, event: Event) -> dict[str, Any] | None:
        """Return the fields of the level in an event message; None if it was not measured."""
        if self._monitor is None:
            return None
        level = self._monitor.span_level(event.start_time, event.end_time)
        if level is None:
            return None
        return {
            "laeq_db": self._scale(level.laeq),
            "lamax_db": self._scale(level.lamax),
            "rise_db": level.rise and round(level.rise, 1),
            "level_calibrated": self._scale.calibrated,
        }

    def _message(self, minute: int, level: SoundLevel) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "node_id": self._config.node,
            "start_time": rfc3339(minute * MINUTE_SECONDS),
            "seconds": round(level.seconds, 2),
            **self._scale.fields(level),
            "calibrated": self._scale.calibrated,
            "time_weighting": self._config.level.time_weighting,
        }
