"""History benchmark: a million events, the time of a day's view, the size of the file, the rate of insertion.

    python benchmarks/history.py [--events 1000000] [--folder FOLDER]

The events are spread over a year, with messages of the usual size. FOLDER must be on a disk. A day's view is its events
and the counts of its hours. The peer is a file with a hundredth of the events, where a query depends on the size of the
file alone. Times are medians of several runs in turn, with the files in the page cache.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from checkout import ROOT
from figures import Figure, cpu_seconds_in_turn, make_parser, publish
from uuid6 import uuid7

from device.history.reader import HistoryReader
from device.history.table import EndedEvent, HistoryTable
from device.mqtt.messages import event_message
from device.types import Event
from device.util.clock import CLOCK, rfc3339
from device.util.local_time import days, hours

LABELS = ("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling", "engine_idling")
LABELS += ("gun_shot", "jackhammer", "siren", "street_music")
YEAR_SECONDS = 365 * 86400.0
BATCH_EVENTS = 10_000
SINGLE_EVENTS = 1000
"""Events that are stored one by one, as they come in operation."""
FEW = 100
"""Events of the large file for each event of the small one."""


def messages(first: int, count: int, total: int, end: float) -> Iterator[EndedEvent]:
    """Yield events number `first` and following ones, of `total` in the year before `end`, Unix seconds."""
    scores = {label: round(random.random(), 4) for label in LABELS}
    event = Event("end", "", "", 0.9134, scores, 0.0, 1.0, -20.4, "level")
    template = event_message(event, node_id="balcony", bundle="urbansound8k@7.0.0", clock=CLOCK)
    for number in range(first, first + count):
        start = end - YEAR_SECONDS * (1 - number / total)
        seconds = round(random.expovariate(0.2), 3)
        times = {"start_time": rfc3339(start), "end_time": rfc3339(start + seconds), "duration_seconds": seconds}
        own = {"event_id": str(uuid7()), "label": random.choice(LABELS), "sequence": 2 * number, "clock_synced": True}
        yield EndedEvent({**template, **times, **own}, CLOCK.stamp())


def fill(path: Path, count: int, end: float) -> tuple[float, float]:
    """Write a file, and return the time for an event in a batch and for one alone, s."""
    table, seconds = HistoryTable(path), 0.0
    for first in range(0, count, BATCH_EVENTS):
        batch = list(messages(first, min(BATCH_EVENTS, count - first), count, end))
        started = time.perf_counter()
        table.insert(batch)
        seconds += time.perf_counter() - started
    singles = list(messages(count, SINGLE_EVENTS, count, end))
    started = time.perf_counter()
    for event in singles:
        table.insert([event])
    single_seconds = time.perf_counter() - started
    table.close()
    return seconds / count, single_seconds / SINGLE_EVENTS


def read(small: HistoryReader, large: HistoryReader, end: float) -> Iterator[Figure]:
    """Yield the times of the queries."""
    day = end - 100 * 86400, end - 99 * 86400
    found = list(large.events(*day))
    ids = {reader: next(iter(reader.events(*day)))["event_id"] for reader in (small, large)}
    of_the_day = f"of a day of {len(found)} events"

    def view_day() -> None:
        list(large.occurrences(*day))
        large.counts(hours(*day))

    queries = {
        f"view {of_the_day}": view_day,
        f"messages {of_the_day}": lambda: list(large.events(*day)),
        f"one label {of_the_day}": lambda: list(large.events(*day, ["siren"])),
        "counts of 30 days by hour": lambda: large.counts(hours(end - 30 * 86400, end)),
        "counts of a year by day": lambda: large.counts(days(end - YEAR_SECONDS, end)),
        "100 events by their ids": lambda: [large.event(ids[large]) for _ in range(100)],
        "small": lambda: [small.event(ids[small]) for _ in range(100)],
    }
    milliseconds = {name: seconds * 1e3 for name, seconds in cpu_seconds_in_turn(queries).items()}
    peer = milliseconds.pop("small")
    for name, value in milliseconds.items():
        beside = (peer, f"the same among a {FEW}th of the events") if "ids" in name else ()
        yield Figure(f"history: {name}", value, "ms of CPU", *beside)


def measure(folder: Path, count: int) -> Iterator[Figure]:
    """Write two files, read them, and yield the figures."""
    end = time.time()
    fill(folder / "small.db", count // FEW, end)
    batch_seconds, single_seconds = fill(folder / "large.db", count, end)
    yield Figure(f"history: store one of {BATCH_EVENTS} events", batch_seconds * 1e3, "ms")
    yield Figure("history: store one event alone", single_seconds * 1e3, "ms")
    size = (folder / "large.db").stat().st_size
    yield Figure(f"history: an event on disk, of {count}", size / (count + SINGLE_EVENTS), "bytes")
    with ExitStack() as stack:
        small, large = (stack.enter_context(HistoryReader(folder / f"{name}.db")) for name in ("small", "large"))
        yield from read(small, large, end)


def main() -> None:
    """Write the files, and read them."""
    parser = make_parser(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="folder for the files (default: the repository)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder or ROOT) as name:
        publish(measure(Path(name), options.events), as_json=options.json)


if __name__ == "__main__":
    main()
