"""Alarm events: starts and ends of the events of alarm patterns, from samples."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from uuid6 import uuid7

from device.detection.active_event import raised
from device.detection.alarm_pattern import T3, T4, Cadence, CadenceDetector, Match
from device.detection.label_settings import LabelSettings
from device.detection.tone_envelope import ToneEnvelope
from device.types import Event, GateReason, Samples, SoundName

_CADENCES: dict[str, Cadence] = {"smoke_alarm_t3": T3, "carbon_monoxide_alarm_t4": T4}
_SEARCH_STEPS = 50
"""Steps between two searches: 0.5 s."""
_SOUNDING_SECONDS = 9.0
"""Time after the gate was open in which the envelope is computed, s: two groups of the longest cycle."""
_LASTING_CYCLES = 4.0
"""Cycles without a match after which an alarm is over. A gap in the sound costs three: a match needs two groups."""


@dataclass
class _Alarm:
    """Alarm that has started and not yet ended.

    Attributes:
        event: its start, with the highest agreement and level so far.
        end: position after the last pulse so far.
    """

    event: Event
    end: int


@dataclass(frozen=True)
class Moment:
    """Circumstances of the last samples.

    Attributes:
        time_of: sample position -> Unix seconds.
        level_dbfs: returns the RMS level of the loudest 30 ms of the last seconds, dB relative to full scale.
        gate: what opened the gate; None while it is shut.
    """

    time_of: Callable[[int], float]
    level_dbfs: Callable[[], float]
    gate: GateReason | None


class AlarmEvents:
    """Search of the sound for alarm patterns, twice a second, until some seconds after the gate was open.

    Args:
        sample_rate: Hz.
        settings: settings of all names. The threshold of a pattern is the least agreement; a pattern that is not among
            the names is not searched.
    """

    def __init__(self, sample_rate: int, settings: LabelSettings) -> None:
        self._sample_rate = sample_rate
        self._settings = settings
        self._envelope = ToneEnvelope(sample_rate)
        cadences = {name: _CADENCES[name.label] for name in settings.thresholds if name.vocabulary == "pattern"}
        self._detectors = {name: CadenceDetector(cadence) for name, cadence in cadences.items()}
        self._lasting = {
            name: round(_LASTING_CYCLES * cadence.cycle_seconds * sample_rate) for name, cadence in cadences.items()
        }
        self._ended_at: dict[SoundName, int] = {}
        detectors = self._detectors.values()
        self._lookahead = max((each.lookahead for each in detectors), default=0)
        self._kept = 2 * _SEARCH_STEPS + self._lookahead + max((each.history for each in detectors), default=0)
        self._part_length = _SEARCH_STEPS * self._envelope.hop_length
        self._sounding = round(_SOUNDING_SECONDS * sample_rate)
        self._active: dict[SoundName, _Alarm] = {}
        self._begin(0)

    def _begin(self, position: int) -> None:
        """Begin again at a position: nothing before it is part of a pattern."""
        self._envelope.reset()
        for detector in self._detectors.values():
            detector.reset()
        self._waiting: list[Samples] = []
        self._sounding_until = self._part_start = position
        # Steps without a tone stand before the first one: an alarm may have begun with the stream.
        self._levels = np.zeros((self._kept, self._envelope.bands), np.float32)
        self._is_blank = True
        self._steps = self._searched = self._kept
        self._origin, self._next_position = position - self._kept * self._envelope.hop_length, position

    def update(self, samples: Samples, position: int, moment: Moment) -> Iterator[Event]:
        """Add samples, shape (n,), int16, that begin at a position; yield the starts and ends that result.

        After a gap, the search begins again. An alarm that goes on then continues.
        """
        if not self._detectors:
            return
        if position != self._next_position:
            self._begin(position)
        self._waiting.append(samples)
        self._next_position = position + len(samples)
        if moment.gate is not None or self._active:
            self._sounding_until = self._next_position + self._sounding
        # One call for half a second costs little more than one for a block.
        while self._next_position - self._part_start >= 2 * self._part_length:
            yield from self._add_part(moment)

    def _add_part(self, moment: Moment) -> Iterator[Event]:
        """Compute the envelope of the oldest half second that waits, and search it.

        The next half second waits as well: the gate opens a tenth of a second after the onset.
        """
        waiting = np.concatenate(self._waiting)
        self._waiting = [waiting[self._part_length :]]
        is_quiet = self._part_start >= self._sounding_until
        levels = self._envelope.feed(waiting[: self._part_length], is_quiet=is_quiet)
        self._part_start += self._part_length
        self._steps += len(levels)
        if not (is_quiet and self._is_blank):  # no tone after no tone changes nothing
            self._levels = np.concatenate([self._levels, levels])[-self._kept :]
            self._is_blank = is_quiet and not self._levels.any()
        if not is_quiet:
            yield from self._search(moment)

    def end_all(self, time_of: Callable[[int], float]) -> Iterator[Event]:
        """End the alarms that go on, at a break in the sound."""
        for name in list(self._active):
            yield self._end(name, time_of)

    def _search(self, moment: Moment) -> Iterator[Event]:
        """Search the steps that have all steps after them that a group needs."""
        first, stop = self._steps - len(self._levels), self._steps - self._lookahead
        for name, detector in self._detectors.items():
            ends = range(max(self._searched, first + detector.history), stop)
            match = detector.search(self._levels, first, ends) if ends else None
            if match is not None and match.agreement >= self._settings[name].threshold:
                yield from self._continue(name, match, moment)
            elif name in self._active and self._next_position - self._active[name].end > self._lasting[name]:
                yield self._end(name, moment.time_of)
        self._searched = max(self._searched, stop)

    def _continue(self, name: SoundName, match: Match, moment: Moment) -> Iterator[Event]:
        """Start an alarm, or extend the one that goes on."""
        end, confidence, level = self._position(match.end), round(match.agreement, 4), moment.level_dbfs()
        if alarm := self._active.get(name):
            alarm.event, alarm.end = raised(alarm.event, confidence, {name.label: confidence}, level), end
            return
        if not self._may_start(name, self._position(match.start)):
            return
        event = Event(
            type="start",
            event_id=str(uuid7()),
            label=name.label,
            confidence=confidence,
            scores={name.label: confidence},
            start_time=moment.time_of(self._position(match.start)),
            end_time=None,
            level_dbfs=level,
            gate=moment.gate or "level",
            vocabulary="pattern",
        )
        self._active[name] = _Alarm(event, end)
        yield event

    def _may_start(self, name: SoundName, start: int) -> bool:
        """Return whether a pattern may become an event: its switch is on, and its cool-down is over."""
        setting, ended_at = self._settings[name], self._ended_at.get(name)
        return setting.enabled and (ended_at is None or start >= ended_at + setting.cooldown * self._sample_rate)

    def _end(self, name: SoundName, time_of: Callable[[int], float]) -> Event:
        alarm = self._active.pop(name)
        self._ended_at[name] = alarm.end
        return dataclasses.replace(alarm.event, type="end", end_time=time_of(alarm.end))

    def _position(self, step: int) -> int:
        """Return the sample position of a step."""
        return self._origin + step * self._envelope.hop_length
