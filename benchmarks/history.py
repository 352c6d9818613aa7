"""History benchmark: a million events, the time of a day's view, the size of the file, the rate of insertion.

    python benchmarks/history.py [--events 1000000] [--folder FOLDER]

The events are spread over a year, with messages of the usual size. FOLDER must be on a disk. A day's view is its events
and the counts of its hours. Each measurement is one line of JSON. Times are the shortest of several runs, with the file
in the page cache.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from uuid6 import uuid7

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from device.history.reader import HistoryReader  # noqa: E402
from device.history.table import EndedEvent, HistoryTable  # noqa: E402
from device.mqtt.messages import event_message  # noqa: E402
from device.types import Event  # noqa: E402
from device.util.clock import CLOCK, rfc3339  # noqa: E402
from device.util.local_time import days, hours  # noqa: E402

LABELS = ("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling", "engine_idling")
LABELS += ("gun_shot", "jackhammer", "siren", "street_music")
YEAR_SECONDS = 365 * 86400.0
BATCH_EVENTS = 10_000
SINGLE_EVENTS = 1000
"""Events that are stored one by one, as they come in operation."""
RUNS = 7


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


def fill(path: Path, count: int, end: float) -> dict[str, Any]:
    """Write the file, and return the rates of insertion."""
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
    return {
        "events": count,
        "inserted_per_second": round(count / seconds),
        "inserted_one_by_one_per_second": round(SINGLE_EVENTS / single_seconds),
        "file_mb": round(path.stat().st_size / 1e6, 1),
        "bytes_per_event": round(path.stat().st_size / count),
    }


def shortest_ms(operation: Callable[[], object]) -> float:
    """Return the shortest time of an operation, ms: other programs only add to it."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        operation()
        times.append(time.perf_counter() - started)
    return round(min(times) * 1000, 2)


def view(path: Path, end: float) -> dict[str, Any]:
    """Return the times of the reader's queries."""
    day = end - 100 * 86400, end - 99 * 86400
    with HistoryReader(path) as reader:
        found = list(reader.events(*day))
        event_id = found[0]["event_id"]

        def view_day() -> None:
            list(reader.occurrences(*day))
            reader.counts(hours(*day))

        return {
            "events_of_the_day": len(found),
            "day_view_ms": shortest_ms(view_day),
            "messages_of_the_day_ms": shortest_ms(lambda: list(reader.events(*day))),
            "day_of_one_label_ms": shortest_ms(lambda: list(reader.events(*day, ["siren"]))),
            "counts_of_the_day_ms": shortest_ms(lambda: reader.counts(hours(*day))),
            "counts_of_30_days_by_hour_ms": shortest_ms(lambda: reader.counts(hours(end - 30 * 86400, end))),
            "counts_of_the_year_by_day_ms": shortest_ms(lambda: reader.counts(days(end - YEAR_SECONDS, end))),
            "labels_ms": shortest_ms(reader.labels),
            "event_by_id_ms": shortest_ms(lambda: reader.event(event_id)),
            "open_ms": shortest_ms(lambda: HistoryReader(path).__enter__().__exit__()),
        }


def main() -> None:
    """Write the file, and read it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="folder for the file (default: the repository)")
    arguments = parser.parse_args()
    end = time.time()
    with tempfile.TemporaryDirectory(dir=arguments.folder or ROOT) as name:
        path = Path(name) / "history.db"
        print(json.dumps(fill(path, arguments.events, end)), flush=True)
        print(json.dumps(view(path, end)), flush=True)


if __name__ == "__main__":
    main()
