"""The sound gate: decides, block by block and at next to no cost, whether something is sounding.

It opens when webrtcvad finds voice-like sound, or when the level rises above a noise floor that follows the
place. Either alone misses sounds: webrtcvad is deaf to air conditioners and many sirens, a level to what is
quiet beside a loud street.
"""

import dataclasses
from dataclasses import dataclass

import webrtcvad

from device.config import GateConfig
from device.features import level_dbfs
from device.types import BLOCK_SECONDS, Block, GateReason, Span

_FLOOR_START_DBFS = -60.0
"""A quiet room. What is louder when the daemon starts opens the gate until the floor has risen to it: it is a
sound that began before we did.
"""
_FLOOR_FALL = 0.2
"""Share of the way down to a quieter block, per block: the floor finds silence in a quarter of a second."""


@dataclass
class _Recent:
    """How many of the last blocks were voiced."""

    length: int
    bits: int = 0

    def push(self, voiced: bool) -> int:
        self.bits = ((self.bits << 1) | voiced) & ((1 << self.length) - 1)
        return self.bits.bit_count()


class SoundGate:
    """Adaptive gate over blocks that follow one another.

    Args:
        config: thresholds and times.
        sample_rate: Hz; 8000, 16000, 32000 or 48000.
    """

    def __init__(self, config: GateConfig, sample_rate: int) -> None:
        self._config = config
        self._sample_rate = sample_rate
        self._vad = None if config.vad_mode is None else webrtcvad.Vad(config.vad_mode)
        self._voiced = _Recent(length=config.vad_window_blocks)
        self._floor_dbfs = _FLOOR_START_DBFS
        self._hangover = round(config.hangover_seconds * sample_rate)
        self._span: Span | None = None

    def update(self, block: Block) -> Span | None:
        """Take the next block.

        Returns:
            The span while the gate is open, and once more when it shuts; None while it is shut.
        """
        reason = self._sounding(block)
        if reason is not None:
            start, first_reason = (self._span.start, self._span.reason) if self._span else (block.position, reason)
            self._span = Span(start, block.end, first_reason, is_open=True)
        elif self._span is not None and block.end - self._span.end >= self._hangover:
            return self.close()
        return self._span

    def close(self) -> Span | None:
        """Shut the gate now, as at the end of the stream; gives the span that was open, if any."""
        span, self._span = self._span, None
        return span and dataclasses.replace(span, is_open=False)

    def _sounding(self, block: Block) -> GateReason | None:
        level = level_dbfs(block.samples)
        above_floor = level - self._floor_dbfs
        self._follow(level)
        voiced = self._vad is not None and self._vad.is_speech(block.samples.tobytes(), self._sample_rate)
        enough_voiced = self._voiced.push(voiced) >= self._config.vad_blocks
        if self._config.level_db is not None and above_floor >= self._config.level_db:
            return "level"
        return "vad" if enough_voiced else None

    def _follow(self, level: float) -> None:
        """Move the noise floor: down at once, up slowly, so that a fan is learnt and a siren is not."""
        if level < self._floor_dbfs:
            self._floor_dbfs += _FLOOR_FALL * (level - self._floor_dbfs)
        else:
            rise = self._config.floor_rise_db_per_second * BLOCK_SECONDS
            self._floor_dbfs = min(level, self._floor_dbfs + rise)
