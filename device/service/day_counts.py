"""Counts of the day: events of each name since local midnight, and when each last started, on the topic `today`.

They survive a restart in `today.json`. A thread of their own stores them, so that a slow disk never delays detection.
"""

import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from device.mqtt.messages import SCHEMA, encode
from device.types import Event, Observer, PublishState, SoundName
from device.util.clock import CLOCK, Clock, rfc3339
from device.util.json_store import JsonStore
from device.util.local_time import local, start_of_day
from device.util.supervised_thread import SupervisedThread

TODAY_FILE = "today.json"
"""Name of the file in the state directory."""
_LONGEST_PAUSE_SECONDS = 60.0
"""Longest time without a look at the clock, which may be set or sleep meanwhile, s."""
_GOODBYE_SECONDS = 5.0
"""Time for the last event at the end, s."""
_LAST_TIME = 253_000_000_000.0
"""Latest time that is stored, Unix seconds: in the year 9987."""
_QUEUED_STARTS = 10_000
"""Starts in memory, at most; of more, the oldest are not counted."""


class Day(BaseModel):
    """Counts of one local day, by slug.

    Attributes:
        day: the local day; None before the first.
        counts: events that started on it.
        last_times: start of the last event of each name, on any day, Unix seconds.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    day: date | None = None
    counts: dict[str, NonNegativeInt] = {}
    last_times: dict[str, Annotated[float, Field(ge=0, le=_LAST_TIME)]] = {}


_Start = tuple[str, float]
"""Slug of an event, and its start as `Clock.now`."""


class DayCounts(Observer):
    """Observer that counts the starts of events; a context manager.

    An event belongs to the local day on which it started. A new day begins at local midnight, after 23, 24 or 25 hours.
    A machine without a battery clock boots with a time in the past. Until network time has set the clock, the stored
    day continues. Then starts of this run are counted again, with their right times.

    Args:
        node_id: of this device.
        names: names that can become events.
        store: counts of earlier runs.
        publish_state: publishes a retained state: name, payload.
        clock: converts the times of events, and determines the day.
    """

    def __init__(
        self,
        node_id: str,
        names: Iterable[SoundName],
        store: JsonStore[Day],
        publish_state: PublishState,
        clock: Clock = CLOCK,
    ) -> None:
        self._node_id = node_id
        self._slugs = [name.slug for name in names]
        self._store = store
        self._publish_state = publish_state
        self._clock = clock
        self._arrived: deque[_Start] = deque(maxlen=_QUEUED_STARTS)
        self._provisional: list[_Start] = []
        self._published = b""
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = SupervisedThread("today", self._work)

    def __enter__(self) -> Self:
        """Publish the counts, and start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Store the last counts."""
        self._thread.stop(self._stop, _GOODBYE_SECONDS)

    def on_event(self, event: Event) -> None:
        """Count the start of an event; returns at once."""
        if event.end_time is None:
            with self._changed:
                self._arrived.append((event.slug, event.start_time))
                self._changed.notify()

    def _stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()

    # The methods below run on the thread.

    def _work(self) -> None:
        """Update the counts at each start and at midnight, until the end."""
        self._update()
        while self._wait():
            self._update()
        self._update()

    def _wait(self) -> bool:
        """Wait for a start or for midnight; return False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._arrived, self._pause_seconds())
            return not self._stopping

    def _pause_seconds(self) -> float:
        """Return the time until midnight, at most a minute, s."""
        now = self._now()
        tomorrow = start_of_day(local(now).date() + timedelta(days=1))
        return min(max(tomorrow - now, 0.0), _LONGEST_PAUSE_SECONDS)

    def _update(self) -> None:
        """Count the starts that have arrived, begin a new day if the old one is over, and publish changes."""
        with self._changed:
            arrived = list(self._arrived)
            self._arrived.clear()
        synced = self._clock.synced()
        stored, today = self._store.content, local(self._now()).date()
        counts, starts = Counter(stored.counts), arrived
        if stored.day is None or today > stored.day or (synced and today != stored.day):
            counts, starts = Counter(), self._provisional + arrived
            stored = stored.model_copy(update={"day": today})
        midnight = start_of_day(today)
        counts.update(slug for slug, time in starts if self._clock.utc(time) >= midnight)
        last_times = stored.last_times | self._last_times(self._provisional + arrived)
        self._provisional = [] if synced else (self._provisional + arrived)[-_QUEUED_STARTS:]
        self._store.update(day=stored.day, counts=dict(counts), last_times=last_times)
        self._publish(self._store.content)

    def _now(self) -> float:
        """Return the time of the system clock, Unix seconds."""
        return self._clock.utc(self._clock.now())

    def _last_times(self, starts: Sequence[_Start]) -> dict[str, float]:
        return {slug: self._clock.utc(time) for slug, time in starts}

    def _publish(self, content: Day) -> None:
        message: dict[str, Any] = {
            "schema": SCHEMA,
            "node_id": self._node_id,
            "date": content.day and content.day.isoformat(),
            "counts": {slug: content.counts.get(slug, 0) for slug in self._slugs},
            "last_times": {slug: _time(content.last_times.get(slug)) for slug in self._slugs},
        }
        payload = encode(message)
        if payload != self._published:
            self._published = payload
            self._publish_state("today", payload)


def _time(unix_seconds: float | None) -> str | None:
    return None if unix_seconds is None else rfc3339(unix_seconds)
