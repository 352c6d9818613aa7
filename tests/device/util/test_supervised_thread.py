"""Tests of supervised threads: logged, counted and started again after any end that nobody asked for."""

import sys
import threading
from queue import SimpleQueue

import pytest
from support import wait_until

from device.util.supervised_thread import SupervisedThread, ThreadRegistry


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr("device.util.supervised_thread._FIRST_PAUSE_SECONDS", 0.05)


def broken():
    raise LookupError("no such thing")


ENDS = {"exception": broken, "exit": sys.exit, "return": lambda: None}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_thread_that_ends_unasked_starts_again(caplog, end):
    """Whatever ends it, a thread is logged, counted, missing during the pause, and works again."""
    registry, stop, ends = ThreadRegistry(), threading.Event(), []
    missing_while_it_works = []

    def work():
        missing_while_it_works.append(registry.missing())
        if len(ends) < 3:
            ends.append(None)
            end()
        else:
            stop.wait(10)

    thread = SupervisedThread("worker", work, registry=registry)
    thread.start()
    wait_until(lambda: registry.missing() == ["worker"], 10, "the first end")
    wait_until(lambda: len(missing_while_it_works) == 4, 10, "the fourth start")
    thread.stop(stop.set)
    assert (registry.failures, registry.missing()) == (3, [])
    assert missing_while_it_works == [[]] * 4
    assert len(caplog.records) == 3
    assert all("'worker'" in message and "starts again" in message for message in caplog.messages)
    if end is broken:
        assert all("no such thing" in record.exc_text for record in caplog.records)


def test_a_thread_that_ends_when_asked_is_no_failure(caplog):
    """A stop ends the work, and nothing is counted or logged. A thread that never started can be stopped."""
    registry, stop = ThreadRegistry(), threading.Event()
    thread = SupervisedThread("worker", lambda: stop.wait(10), registry=registry)
    thread.stop()
    thread = SupervisedThread("worker", lambda: stop.wait(10), registry=registry)
    thread.start()
    thread.stop(stop.set)
    assert (registry.failures, registry.missing(), caplog.messages) == (0, [], [])


def test_finite_work_is_not_done_again(caplog):
    """Work with an end of its own may return; its failure is logged and counted, and its owner goes on."""
    registry = ThreadRegistry()
    for work in (lambda: None, broken):
        thread = SupervisedThread("capture", work, finite=True, registry=registry)
        thread.start()
        thread.stop()
    assert (registry.failures, registry.missing()) == (1, [])
    assert "no such thing" in caplog.text


def test_a_stop_during_the_pause_empties_the_queue(monkeypatch):
    """A thread that is stopped before it starts again works once more: what waits in its queue is not lost."""
    monkeypatch.setattr("device.util.supervised_thread._FIRST_PAUSE_SECONDS", 60.0)
    registry, queue, done = ThreadRegistry(), SimpleQueue(), []

    def work():
        while (item := queue.get(timeout=10)) != "end":
            if item == "poison":
                raise ValueError(item)
            done.append(item)

    thread = SupervisedThread("worker", work, registry=registry)
    queue.put("poison")
    thread.start()
    wait_until(registry.missing, 10, "the failure")
    queue.put("important")
    thread.stop(lambda: queue.put("end"), timeout=10)
    assert done == ["important"]


def test_a_stop_ends_work_that_always_fails():
    """Work that fails again after a stop is given up."""
    thread = SupervisedThread("worker", broken, registry=ThreadRegistry())
    thread.start()
    thread.stop(timeout=10)
    assert "worker" not in {each.name for each in threading.enumerate()}
