"""Tests of liveness and of the source monitor."""

import threading

import numpy as np
import pytest

from device.monitoring.liveness import Liveness
from device.monitoring.load_shedding import LoadShedding
from device.monitoring.source_monitor import SourceMonitor
from device.types import BLOCK_SECONDS, Block, SourceLost

RATE = 16000
BLOCK = np.zeros(480, np.int16)


class Source:
    """Source of given items, which loses nothing."""

    def __init__(self, *items):
        self._items = items
        self.lost_samples = 0

    def __iter__(self):
        return iter(self._items)


def monitor(source, liveness=None, on_first_item=lambda: None, is_listening=lambda: True):
    """Make a monitor with load shedding that never stretches."""
    load_shedding = LoadShedding(limit=1.0, hop_seconds=1.0, queue_seconds=10.0, is_hot=lambda: False)
    return SourceMonitor(
        source,
        RATE,
        liveness=liveness or Liveness(),
        load_shedding=load_shedding,
        is_listening=is_listening,
        on_first_item=on_first_item,
    )


def test_sound_that_is_lost_between_two_sources_is_counted(monkeypatch):
    """Liveness adds the losses of each source and the time between two sources."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    liveness, firsts = Liveness(), []
    source = Source(SourceLost(0), Block(BLOCK, 0, 0.0), Block(BLOCK, 1280, 0.0))
    for item in monitor(source, liveness, lambda: firsts.append("old")):
        source.lost_samples = 800 if isinstance(item, Block) else 0
        now += BLOCK_SECONDS
    assert firsts == ["old"]
    assert liveness.lost_seconds == pytest.approx(0.05)
    now += 2.0
    list(monitor(Source(SourceLost(0), Block(BLOCK, 0, 0.0)), liveness, lambda: firsts.append("new")))
    assert firsts == ["old", "new"]
    assert liveness.lost_seconds == pytest.approx(2.05)


def test_liveness_is_the_time_since_the_last_item(monkeypatch):
    """Blocks and breaks both count as items; after the end of a recording none is expected."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    liveness = Liveness()
    now += 7.0
    assert liveness.silent_seconds() == 7.0
    items = iter(monitor(Source(SourceLost(0)), liveness))
    next(items)
    assert liveness.silent_seconds() == 0.0
    liveness.expect_nothing()
    assert liveness.silent_seconds() < 0


def test_nothing_passes_while_listening_is_off():
    """Blocks stop at once, after one break at their position; they continue at the position reached by then."""
    blocks = [Block([0] * 10, position, 0.0) for position in range(0, 60, 10)]
    passed, listening = [], threading.Event()
    listening.set()
    for item in monitor(Source(*blocks), is_listening=listening.is_set):
        passed.append(item)
        if isinstance(item, Block) and item.position == 10:
            listening.clear()
        if isinstance(item, SourceLost):
            listening.set()
    assert passed == [*blocks[:2], SourceLost(20), *blocks[3:]]


def test_a_node_that_was_switched_off_starts_muted():
    """No block passes before the first command, either."""
    assert list(monitor(Source(Block([0] * 10, 0, 0.0)), is_listening=lambda: False)) == [SourceLost(0)]


def test_the_blocks_of_a_read_are_reported_together(monkeypatch):
    """Every block passes; liveness receives the last one of each read, which arrived at the same time."""
    liveness, recorded = Liveness(), []
    monkeypatch.setattr(liveness, "record", lambda item, _lost: recorded.append(item))
    blocks = [Block(BLOCK, 480 * number, 0.0, ends_read=number % 3 == 2) for number in range(6)]
    items = [*blocks, SourceLost(2880)]
    assert list(monitor(Source(*items), liveness)) == items
    assert recorded == [blocks[2], blocks[5], items[-1]]
