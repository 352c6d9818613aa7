"""Alarm patterns: the T3 cadence of smoke alarms and the T4 cadence of carbon monoxide alarms, detected by rule.

The temporal patterns are those of ISO 8201:2017 and ANSI/ASA S3.41-2015 (T3), and of ANSI/UL 2034 (T4). Alarms
sound near 3.1 kHz, or as a square wave near 520 Hz. A window of 3 s is shorter than a cycle, hence the rule.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.detection.tone_envelope import STEP_SECONDS, Envelope

_CONTRAST_DB = 6.0
"""Least difference between the faintest pulse of a group and its loudest gap, dB, each a mean over its steps."""
_PULSE_SPREAD_DB = 8.0
"""Largest difference between the loudest and the faintest pulse of a group, dB."""
_STRETCHES = (0.9, 0.95, 1.0, 1.05, 1.1)
"""Factors of the durations: the standards allow 10 %."""
_CYCLE_TOLERANCE = 0.1
"""Largest relative error of the time between two groups."""
_SMOOTHING = np.full(5, 0.2, np.float32)
"""Weights of the mean over 50 ms: single steps of noise scatter by 6 dB."""
_GUARD = 0.15
"""Share of a pulse or gap at each of its edges that is left out: frames overlap it, and rooms reverberate."""


@dataclass(frozen=True)
class Cadence:
    """Temporal pattern of an alarm: groups of pulses with pauses between them.

    Attributes:
        pulses: number of pulses in a group.
        pulse_seconds: duration of a pulse, s.
        gap_seconds: time between two pulses of a group, s.
        pause_seconds: time between two groups, s.
    """

    pulses: int
    pulse_seconds: float
    gap_seconds: float
    pause_seconds: float

    @property
    def group_seconds(self) -> float:
        """Duration of a group from its first to its last pulse, s."""
        return self.pulses * self.pulse_seconds + (self.pulses - 1) * self.gap_seconds

    @property
    def cycle_seconds(self) -> float:
        """Time from one group to the next, s."""
        return self.group_seconds + self.pause_seconds

    def segments(self, stretch: float) -> NDArray[np.int64]:
        """Return begin and end of each pulse, then of each quiet part, without guards, in steps after the group's end.

        Args:
            stretch: factor of the durations.

        Returns:
            Shape (2 * pulses + 3, 2). Quiet are a gap before the first pulse and one after each pulse; and before and
            after the group the time of one pulse more, which another pattern would have.
        """
        pulse, gap = self.pulse_seconds * stretch, self.gap_seconds * stretch
        guard = _GUARD * min(pulse, gap)
        starts = [number * (pulse + gap) - self.group_seconds * stretch for number in range(self.pulses)]
        pulses = [(start, start + pulse) for start in starts]
        gaps = [(start - gap, start) for start in starts] + [(0.0, gap)]
        outside = [(starts[0] - gap - pulse, starts[0] - gap), (gap, gap + pulse)]
        edges = np.array([(begin + guard, end - guard) for begin, end in pulses + gaps + outside])
        steps: NDArray[np.int64] = np.rint(edges / STEP_SECONDS).astype(np.int64)
        return steps


T3 = Cadence(3, 0.5, 0.5, 1.5)
T4 = Cadence(4, 0.1, 0.1, 5.0)


@dataclass(frozen=True)
class Group:
    """Group of pulses.

    Attributes:
        band: number of the band that contains it.
        end: step at which its last pulse ended.
        stretch: factor of its durations.
    """

    band: int
    end: int
    stretch: float


@dataclass(frozen=True)
class Match:
    """Two groups of a cadence, one cycle apart.

    Attributes:
        start: step at which the first pulse began.
        end: step at which the last pulse ended.
        agreement: share of the steps that the cadence explains, 0 to 1: the smallest of those in pulses, gaps, the
            pause, and around the groups.
    """

    start: int
    end: int
    agreement: float


class CadenceDetector:
    """Search of an envelope for two groups of a cadence with a pause between them.

    Args:
        cadence: to detect.
    """

    def __init__(self, cadence: Cadence) -> None:
        self._cadence = cadence
        self._segments = np.stack([cadence.segments(stretch) for stretch in _STRETCHES], axis=1)
        self._middle = cadence.segments(1.0)
        self._groups: list[Group] = []
        self._cycle = cadence.cycle_seconds / STEP_SECONDS
        reach, self.lookahead = -int(self._segments.min()), int(self._segments.max())
        self.history = round((1 + _CYCLE_TOLERANCE) * self._cycle) + reach
        """Steps before the end of a group that the search reads."""

    def reset(self) -> None:
        """Forget the groups found so far, after a break in the sound."""
        self._groups.clear()

    def search(self, envelope: Envelope, first: int, ends: range) -> Match | None:
        """Return the best match whose second group ends at one of the steps.

        Args:
            envelope: prominence of each band, shape (steps, bands), float32, dB.
            first: number of the envelope's first step.
            ends: numbers of the steps, with `history` steps before them, and `lookahead` steps after them.
        """
        found = list(self._groups_at(envelope, first, ends))
        matches = [
            self._match(envelope[:, group.band], first, earlier, group)
            for group in found
            for earlier in self._groups
            if abs(earlier.band - group.band) <= 1
            and abs((group.end - earlier.end) / self._cycle - 1) <= _CYCLE_TOLERANCE
        ]
        oldest = ends.stop - self.history
        self._groups = [group for group in self._groups if group.end >= oldest] + found
        return max(matches, key=lambda match: match.agreement, default=None)

    def _groups_at(self, envelope: Envelope, first: int, ends: range) -> Iterator[Group]:
        """Yield the group with the largest contrast in each band."""
        steps = np.arange(ends.start, ends.stop) - first
        pulses = self._cadence.pulses
        # A fall at the end of the last pulse is a cheap first test: nearly all steps of other sounds fail it.
        last, after = self._middle[pulses - 1], self._middle[2 * pulses]
        tail = steps[0] + last[0]
        sums = _sums(envelope[tail:])
        falls = _means(sums, steps[:, np.newaxis] - tail + last) - _means(sums, steps[:, np.newaxis] - tail + after)
        at, bands = np.nonzero(falls >= _CONTRAST_DB)
        if not len(at):
            return
        reach = max(0, int(steps[0] + self._segments.min()))  # before it, no group lies
        spans = (steps[at] - reach)[:, np.newaxis, np.newaxis] + self._segments[:, np.newaxis]
        means = _means(_sums(envelope[reach:]), spans, bands[:, np.newaxis])  # (segments, candidates, stretches)
        faintest, loudest = means[:pulses].min(axis=0), means[:pulses].max(axis=0)
        contrast = faintest - means[pulses:].max(axis=0)
        contrast[loudest - faintest > _PULSE_SPREAD_DB] = -np.inf
        is_group = contrast.max(axis=1) >= _CONTRAST_DB
        at, bands, contrast = at[is_group], bands[is_group], contrast[is_group]
        for band in np.unique(bands):
            candidates = np.flatnonzero(bands == band)
            place, stretch = np.unravel_index(contrast[candidates].argmax(), (len(candidates), len(_STRETCHES)))
            yield Group(int(band), ends[int(at[candidates[place]])], _STRETCHES[stretch])

    def _match(self, levels: NDArray[np.float32], first: int, earlier: Group, later: Group) -> Match:
        """Compare both groups and the pause between them with the steps of a band's envelope, shape (steps,)."""
        cadence, levels = self._cadence, np.convolve(levels, _SMOOTHING, "same")
        segments = np.stack([cadence.segments(group.stretch) + group.end - first for group in (earlier, later)])
        pulses, gaps, *outside = (
            np.concatenate([levels[max(0, begin) : end] for begin, end in part])
            for part in (
                segments[:, : cadence.pulses].reshape(-1, 2),
                segments[:, cadence.pulses : -2].reshape(-1, 2),
                *segments[:, -2:].reshape(-1, 1, 2),
            )
        )
        group_steps = cadence.group_seconds / STEP_SECONDS
        guard = 1 + round(2 * _GUARD * cadence.pulse_seconds / STEP_SECONDS)
        pause_end = later.end - round(group_steps * later.stretch)
        pause = levels[earlier.end + guard - first : pause_end - guard - first]
        threshold = (pulses.mean() + gaps.mean()) / 2
        agreement = min(np.mean(pulses > threshold), *(np.mean(part < threshold) for part in (gaps, pause, *outside)))
        return Match(earlier.end - round(group_steps * earlier.stretch), later.end, float(agreement))


def _sums(envelope: Envelope) -> NDArray[np.float32]:
    """Return the sum of all steps before each step, shape (steps + 1, bands)."""
    sums = np.zeros((len(envelope) + 1, envelope.shape[1]), np.float32)
    np.cumsum(envelope, axis=0, out=sums[1:])
    return sums


def _means(
    sums: NDArray[np.float32], spans: NDArray[np.int64], bands: NDArray[np.int64] | slice = slice(None)
) -> NDArray[np.float32]:
    """Return the means of an envelope over spans of steps, from its cumulated sums, for the bands of each span."""
    begin, end = spans[..., 0], spans[..., 1]
    length = (end - begin).astype(np.float32)
    if isinstance(bands, slice):
        length = length[..., np.newaxis]
    means: NDArray[np.float32] = (sums[end, bands] - sums[begin, bands]) / length
    return means
