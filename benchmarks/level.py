"""Sound level benchmark: CPU time of the level monitor a second of sound, as a share of the whole quiet path.

    python benchmarks/level.py

Both are measured in turn in one run, because machines are shared and noisy. The level of an event, and the size of a
day on disk, follow.
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from checkout import ROOT
from figures import Figure, cpu_seconds_in_turn, make_parser, publish

from device.cli.bench_work import quiet_sound, quiet_work
from device.config.models import Config
from device.level.minutes import MinuteLevel, minute_level
from device.level.monitor import LevelMonitor
from device.level.table import LevelTable
from device.service.runtime import open_bundle
from device.types import Blocks

RATE = 16000
READ = 8 * 480
"""Samples of a read: eight blocks, as while nothing sounds."""
MINUTES = 1440
SECONDS = 60
"""Length of the sound, s."""


def room() -> list[Blocks]:
    """Make a minute of a quiet room, in reads."""
    samples = np.random.default_rng(0).normal(0, 30, SECONDS * RATE).astype(np.int16)
    return [Blocks(samples[at : at + READ], at, at / RATE) for at in range(0, len(samples), READ)]


def level_path(blocks: list[Blocks]) -> Callable[[], None]:
    """Make a function that measures the blocks."""
    monitor = LevelMonitor(RATE, "fast", 600.0, lambda time: time, lambda *_: None)  # designs its filters once

    def work() -> None:
        for _ in monitor.measure(blocks):
            pass

    return work


def event_path(blocks: list[Blocks]) -> Callable[[], object]:
    """Make a function that measures the level of one event of 10 s."""
    monitor = LevelMonitor(RATE, "fast", 600.0, lambda time: time, lambda *_: None)
    for _ in monitor.measure(blocks):
        pass
    return lambda: monitor.span_level(45.0, 55.0)


def day_bytes(blocks: list[Blocks]) -> int:
    """Return the size of a day of such minutes on disk, bytes."""
    found: list[MinuteLevel] = []
    monitor = LevelMonitor(
        RATE,
        "fast",
        600.0,
        lambda time: time,
        lambda minute, level, statistics: found.append(
            minute_level(minute, level, statistics, None, clock_synced=True)
        ),
    )
    for _ in monitor.measure(blocks):
        pass
    fields = list(vars(found[0]).values())[1:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "levels.db"
        table = LevelTable(path)
        table.store(MinuteLevel(number, *fields) for number in range(MINUTES))
        table.close()
        return path.stat().st_size


def measure() -> Iterator[Figure]:
    """Yield the costs of the sound level."""
    blocks = room()
    quiet = quiet_work(Config(), *open_bundle(ROOT / "models" / "urbansound8k-light"))
    works = {"quiet": partial(quiet, quiet_sound(SECONDS)), "level": level_path(blocks), "event": event_path(blocks)}
    seconds = cpu_seconds_in_turn(works)
    level, whole = seconds["level"] / SECONDS * 1e3, seconds["quiet"] / SECONDS * 1e3
    yield Figure("sound level, a second", level, "ms of CPU", goal=0.2)
    yield Figure("sound level, a second", level, "ms of CPU", whole, "the whole quiet path")
    yield Figure("sound level of an event", seconds["event"] * 1e3, "ms of CPU")
    yield Figure("sound levels of a day on disk", day_bytes(blocks) / 1e6, "MB")


def main() -> None:
    """Measure, and print the results."""
    publish(measure(), as_json=make_parser(__doc__).parse_args().json)


if __name__ == "__main__":
    main()
