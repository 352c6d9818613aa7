"""The sound gate: decides, block by block and at next to no cost, whether something is sounding.

It opens when a band rises above the noise floor, when webrtcvad finds voice-like sound, or now and then by
itself: a probe, for steady sounds that were there before the daemon was. Each alone misses sounds: webrtcvad is
deaf to air conditioners and many sirens, and a floor learns whatever stays.
"""

import dataclasses
from collections import deque
from collections.abc import Callable

import webrtcvad

from device.config.models import GateConfig
from device.detection.noise_floor import GROUP, NoiseFloor
from device.types import BLOCK_SECONDS, Block, GateReason, Span


class SoundGate:
    """Adaptive gate over blocks that follow one another.

    Args:
        config: thresholds and times.
        sample_rate: Hz; 8000, 16000, 32000 or 48000.
        stretch: gives the factor, at least 1, by which probes are rarer now.
    """

    def __init__(self, config: GateConfig, sample_rate: int, stretch: Callable[[], float] = lambda: 1.0) -> None:
        self._config = config
        self._sample_rate = sample_rate
        self._stretch = stretch
        self._vad = None if config.vad_mode is None else webrtcvad.Vad(config.vad_mode)
        self._voiced = deque([False] * config.vad_window_blocks, maxlen=config.vad_window_blocks)
        self._floor = NoiseFloor(config.floor, sample_rate, round(BLOCK_SECONDS * sample_rate))
        self._span: Span | None = None
        self._pending_from: int | None = None
        self._shut_since = 0
        self._held = False

    @property
    def lookback(self) -> int:
        """By how many samples a span may begin before the end of the block that opened it, at most."""
        return self._samples(self._config.minimum_seconds) + (GROUP + 1) * round(BLOCK_SECONDS * self._sample_rate)

    @property
    def rise_db(self) -> float:
        """How far the last blocks that were judged rise above the noise floor."""
        return self._floor.rise_db()

    def update(self, block: Block) -> Span | None:
        """Take the next block.

        Returns:
            The span while the gate is open, and once more when it shuts; None while it is shut.
        """
        reason = self._sounding(block)
        if self._span is not None:
            if reason is not None or self._probing_goes_on(block):
                self._span = dataclasses.replace(self._span, end=block.end)
            elif block.end - self._span.end >= self._samples(self._config.hangover_seconds):
                return self.close()
        elif reason is not None:
            self._open(block, reason)
        return self._span

    def hold(self, known: bool) -> None:
        """Tell whether what sounds has a name (an event is going on).

        A sound with a name is not learnt as noise: the floor goes back to where it was before the sound, and
        stays. And a steady sound that a probe found keeps the gate open for as long as it has its name.
        """
        if known and not self._held:
            self._floor.recall()
        self._held = known

    def close(self) -> Span | None:
        """Shut the gate now, as at the end of the stream; gives the span that was open, if any."""
        span, self._span, self._pending_from = self._span, None, None
        self._floor.interrupt()
        if span is None:
            return None
        self._shut_since = span.end
        return dataclasses.replace(span, is_open=False)

    def _sounding(self, block: Block) -> GateReason | None:
        """What says that this block sounds; a sound that opens the gate must have lasted `minimum_seconds`."""
        stands_out = self._floor.feed(block.samples, self._rise(block))
        voiced = self._vad is not None and self._vad.is_speech(block.samples.tobytes(), self._sample_rate)
        self._voiced.append(voiced)
        if stands_out and self._config.level:
            if self._pending_from is None:  # it began somewhere in the group that was just judged
                self._pending_from = max(0, block.end - GROUP * len(block.samples))
            if self._span or block.end - self._pending_from >= self._samples(self._config.minimum_seconds):
                return "level"
        elif stands_out is False:
            self._pending_from = None
        if sum(self._voiced) >= self._config.vad_blocks:
            return "vad"
        if self._span is None and self._config.probe_seconds is not None:
            rest = self._samples(self._config.probe_seconds * self._stretch())
            if block.end - self._shut_since >= rest:
                return "probe"
        return None

    def _open(self, block: Block, reason: GateReason) -> None:
        start = block.position if self._pending_from is None else self._pending_from
        self._span = Span(start, block.end, reason, is_open=True)
        self._floor.remember()

    def _probing_goes_on(self, block: Block) -> bool:
        """A probe stays open until the network has had its say, and then for as long as there is a name."""
        if self._span is None or self._span.reason != "probe":
            return False
        return self._held or block.end - self._span.start < self._samples(self._config.learn_seconds)

    def _rise(self, block: Block) -> float:
        """How fast the floor may follow, dB/s: slowly while shut, not while something new sounds, fast once old."""
        floor = self._config.floor
        if self._span is None:
            return floor.rise_db_per_second
        is_old = block.end - self._span.start >= self._samples(self._config.learn_seconds)
        return floor.learn_db_per_second if is_old and not self._held else 0.0

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._sample_rate)
