"""Adaptive sound gate over blocks: detects, at little cost, whether something is sounding.

It opens when a frequency band rises above the noise floor, when webrtcvad detects voice-like sound, or periodically for
a probe. A probe finds steady sounds that began before the daemon. Each trigger alone misses sounds: webrtcvad misses
air conditioners and many sirens, and the noise floor adapts to every steady sound.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from device.config.models import GateConfig
from device.detection.noise_floor import GROUP_BLOCKS, BandLevels, Bands, NoiseFloor
from device.types import BLOCK_SECONDS, GateReason, Samples, Span


class SoundGate:
    """Gate over successive blocks, with one open span at a time.

    Args:
        config: thresholds and times.
        sample_rate: Hz; 8000, 16000, 32000 or 48000.
        stretch: returns the current factor on the pause between probes, at least 1.
    """

    def __init__(self, config: GateConfig, sample_rate: int, stretch: Callable[[], float] = lambda: 1.0) -> None:
        self._config = config
        self._sample_rate = sample_rate
        self._stretch = stretch
        self._vad = None if config.vad_mode is None else webrtcvad.Vad(config.vad_mode)
        self._voiced = deque([False] * config.vad_window_blocks, maxlen=config.vad_window_blocks)
        self._voiced_blocks = 0
        self._floor = NoiseFloor(config.floor, sample_rate, round(BLOCK_SECONDS * sample_rate))
        self._span: Span | None = None
        self._rise_start: int | None = None
        self._shut_since = 0
        self._event_active = False

    @property
    def lookback(self) -> int:
        """Largest distance from the start of a span to the end of the block that opened it, in samples."""
        return self._samples(self._config.minimum_seconds) + (GROUP_BLOCKS + 1) * round(
            BLOCK_SECONDS * self._sample_rate
        )

    @property
    def rise_db(self) -> float:
        """Rise of the last complete group of blocks above the noise floor, dB."""
        return self._floor.rise_db()

    @property
    def band_levels(self) -> BandLevels | None:
        """Levels of the last complete group of blocks, and the noise floor; None before the first one."""
        return self._floor.band_levels()

    @property
    def is_shut(self) -> bool:
        """State of the gate: True without an open span."""
        return self._span is None

    def update_while_shut(self, blocks: NDArray[np.int16], position: int) -> tuple[int, Span | None]:
        """Process successive blocks up to the first one that opens the shut gate.

        The result is that of `update` for each. It costs less, because their spectra are computed at once.

        Args:
            blocks: the blocks that follow, shape (blocks, block_length), int16.
            position: position of their first sample.

        Returns:
            Number of blocks that were processed, at least 1; and the span that the last of them opened, None if the
            gate is still shut.
        """
        levels = self._floor.group_levels(blocks)
        for number, samples in enumerate(blocks, 1):
            if (span := self.update(samples, position, levels)) is not None:
                return number, span
            position += len(samples)
        return len(blocks), None

    def update(self, samples: Samples, position: int, levels: Iterator[Bands] | None = None) -> Span | None:
        """Process the next block.

        Args:
            samples: the block that follows the last one, shape (block_length,), int16.
            position: position of its first sample.
            levels: levels of the groups that this block and the following ones complete, see `NoiseFloor.compare`.

        Returns:
            The span while the gate is open, and once more when it shuts; None while it is shut.
        """
        end = position + len(samples)
        reason = self._trigger(samples, end, levels)
        if self._span is not None:
            if reason is not None or self._keeps_probe_open(end):
                self._span = dataclasses.replace(self._span, end=end)
            elif end - self._span.end >= self._samples(self._config.hangover_seconds):
                return self.close()
        elif reason is not None:
            self._open(position, end, reason)
        return self._span

    def set_event_active(self, active: bool) -> None:
        """Set whether an event has started and not yet ended.

        Its sound is not learned as noise: the floor returns to its level before the sound, and stays there. A steady
        sound that a probe detected keeps the gate open until its event ends.
        """
        if active and not self._event_active:
            self._floor.restore()
        self._event_active = active

    def close(self) -> Span | None:
        """Shut the gate now, as at the end of the stream.

        Returns:
            The span that was open, now with `is_open` False; None if the gate was shut.
        """
        span, self._span, self._rise_start = self._span, None, None
        self._floor.discard_group()
        if span is None:
            return None
        self._shut_since = span.end
        return dataclasses.replace(span, is_open=False)

    def _trigger(self, samples: Samples, end: int, levels: Iterator[Bands] | None) -> GateReason | None:
        """Return what detected sound in the block that ends at a position, if anything.

        The level opens a shut gate only after it stood out for `minimum_seconds`.
        """
        stands_out: bool | None = None
        if self._floor.add(samples):
            stands_out = self._floor.compare(self._floor_rise_rate(end), levels)
        # webrtcvad adapts to each block, so one that was left out would change its later results.
        voiced = self._vad is not None and self._vad.is_speech(samples.tobytes(), self._sample_rate)
        self._voiced_blocks += voiced - self._voiced[0]
        self._voiced.append(voiced)
        if stands_out and self._config.level:
            if self._rise_start is None:  # it began somewhere in the group that is complete now
                self._rise_start = max(0, end - GROUP_BLOCKS * len(samples))
            if self._span or end - self._rise_start >= self._samples(self._config.minimum_seconds):
                return "level"
        elif stands_out is False:
            self._rise_start = None
        if self._voiced_blocks >= self._config.vad_blocks:
            return "vad"
        if self._span is None and self._config.probe_seconds is not None:
            pause = self._samples(self._config.probe_seconds * self._stretch())
            if end - self._shut_since >= pause:
                return "probe"
        return None

    def _open(self, position: int, end: int, reason: GateReason) -> None:
        start = position if self._rise_start is None else self._rise_start
        self._span = Span(start, end, reason, is_open=True)
        self._floor.save()

    def _keeps_probe_open(self, end: int) -> bool:
        """Return True in a probe: for `learn_seconds`, so that a window is classified, then until its event ends."""
        if self._span is None or self._span.reason != "probe":
            return False
        return self._event_active or end - self._span.start < self._samples(self._config.learn_seconds)

    def _floor_rise_rate(self, end: int) -> float:
        """Return the largest rate at which the floor may rise at a position, dB/s.

        It is low while the gate is shut, 0 during a new sound or an event, and high once a sound without a label has
        lasted for `learn_seconds`.
        """
        floor = self._config.floor
        if self._span is None:
            return floor.rise_db_per_second
        is_old = end - self._span.start >= self._samples(self._config.learn_seconds)
        return floor.learn_db_per_second if is_old and not self._event_active else 0.0

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._sample_rate)
