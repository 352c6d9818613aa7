"""Sound level benchmark: CPU time of the level monitor a second of sound, compared with the quiet path.

    python benchmarks/level.py

Both are measured in turn in one run, because machines are shared and noisy. The size of a day on disk follows.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from quiet_path import SECONDS, cpu_seconds, quiet_path

from device.level.minutes import MinuteLevel, minute_level
from device.level.monitor import LevelMonitor
from device.level.table import LevelTable
from device.types import Blocks

RATE = 16000
READ = 8 * 480
"""Samples of a read: eight blocks, as while nothing sounds."""
MINUTES = 1440


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


def event_seconds(blocks: list[Blocks]) -> float:
    """Return the CPU time for the level of one event of 10 s, s."""
    monitor = LevelMonitor(RATE, "fast", 600.0, lambda time: time, lambda *_: None)
    for _ in monitor.measure(blocks):
        pass
    return cpu_seconds(lambda: [monitor.span_level(45.0, 55.0) for _ in range(20)] and None) / 20


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


def main() -> None:
    """Measure, and print the results."""
    blocks = room()
    quiet, level = quiet_path(RATE), level_path(blocks)
    pairs = [(cpu_seconds(quiet, 1) / SECONDS, cpu_seconds(level, 1) / SECONDS) for _ in range(7)]
    quiet_ms, level_ms = (1e3 * min(values) for values in zip(*pairs, strict=True))
    print(f"quiet path       {quiet_ms:6.3f} ms of CPU per second of sound")
    print(f"sound level      {level_ms:6.3f} ms of CPU per second of sound   (goal: at most 0.2)")
    print(f"level / quiet    {level_ms / quiet_ms:6.2f}")
    print(f"level of an event{event_seconds(blocks) * 1e3:6.2f} ms of CPU")
    print(f"a day on disk    {day_bytes(blocks) / 1e6:6.2f} MB, of a quiet room")


if __name__ == "__main__":
    main()
