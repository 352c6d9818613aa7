"""Tests of liveness and of the source monitor."""

import threading

import numpy as np
import pytest

from device.monitoring.liveness import Liveness
from device.monitoring.load_shedding import LoadShedding
from device.monitoring.source_monitor import SourceMonitor
from device.types import BLOCK_SECONDS, Blocks, SourceLost

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
    source = Source(SourceLost(0), Blocks(BLOCK, 0, 0.0), Blocks(BLOCK, 1280, 0.0))
    for item in monitor(source, liveness, lambda: firsts.append("old")):
        source.lost_samples = 800 if isinstance(item, Blocks) else 0
        now += BLOCK_SECONDS
    assert firsts == ["old"]
    assert liveness.lost_seconds == pytest.approx(0.05)
    now += 2.0
    list(monitor(Source(SourceLost(0), Blocks(BLOCK, 0, 0.0)), liveness, lambda: firsts.append("new")))
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
    blocks = [Blocks([0] * 10, position, 0.0) for position in range(0, 60, 10)]
    passed, listening = [], threading.Event()
    listening.set()
    for item in monitor(Source(*blocks), is_listening=listening.is_set):
        passed.append(item)
        if isinstance(item, Blocks) and item.position == 10:
            listening.clear()
        if isinstance(item, SourceLost):
            listening.set()
    assert passed == [*blocks[:2], SourceLost(20), *blocks[3:]]


def test_a_node_that_was_switched_off_starts_muted():
    """No block passes before the first command, either."""
    assert list(monitor(Source(Blocks([0] * 10, 0, 0.0)), is_listening=lambda: False)) == [SourceLost(0)]


def test_load_shedding_receives_the_end_of_each_read():
    """The time at which the last of the blocks sounded is reported, once for those that arrived together."""
    load_shedding, ends = LoadShedding(limit=1.0, hop_seconds=1.0, queue_seconds=10.0, is_hot=lambda: False), []
    load_shedding.record_sound = ends.append
    items = [Blocks(np.tile(BLOCK, 3), 0, 10.0), Blocks(BLOCK, 1440, 10.09), SourceLost(1920)]
    watched = SourceMonitor(
        Source(*items),
        RATE,
        liveness=Liveness(),
        load_shedding=load_shedding,
        is_listening=lambda: True,
        on_first_item=lambda: None,
    )
    assert list(watched) == items
    assert ends == pytest.approx([10.09, 10.12])
