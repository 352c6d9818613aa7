"""Parallel map."""

import os
import pickle
import threading

import pytest
from threadpoolctl import threadpool_limits
from worker_jobs import blas_threads

from training.data.parallel import JOBS_PER_THREAD, THREADS, keep_latest, parallel_map
from training.data.windows import _read_ambience
from training.fitting.audioset_features import _load_network
from training.fitting.backbone_features import _load_backbone


def test_each_thread_has_its_own_tool_and_results_are_in_order(monkeypatch):
    """Each thread creates one tool, and the results are in the order of the items."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    threads: list[int] = []
    both = threading.Barrier(2, timeout=10)  # two threads, or it breaks

    def tool() -> int:
        threads.append(threading.get_ident())
        return threading.get_ident()

    def work(owner: int, item: int) -> tuple[int, bool]:
        if item < 2:
            both.wait()
        return item * item, owner == threading.get_ident()

    results = list(parallel_map(tool, work, range(20)))
    assert results == [(item * item, True) for item in range(20)]
    assert len(threads) == len(set(threads)) == 2


def test_an_exception_of_a_worker_is_raised():
    """An exception in a worker is raised by the map."""

    def work(_: object, item: int) -> float:
        return 1 / item

    with pytest.raises(ZeroDivisionError):
        list(parallel_map(object, work, [1, 0, 2]))


def test_items_are_read_as_they_are_needed(monkeypatch):
    """Only a few items are in memory before their results are read: a dataset may be larger than the memory."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    read = []
    items = (read.append(number) or number for number in range(1000))
    results = THREADS.map(lambda: abs, items)
    assert next(results) == 0
    assert len(read) <= 2 * JOBS_PER_THREAD + 1
    results.close()
    assert len(read) < 1000


def test_the_latest_result_is_kept_for_all_threads():
    """A network is loaded once for all threads, and again for other weights."""
    loaded = []

    @keep_latest
    def load(name: str) -> str:
        loaded.append(name)
        return name.upper()

    assert list(parallel_map(lambda: None, lambda _, name: load(name), ["a"] * 10)) == ["A"] * 10
    assert loaded == ["a"]
    assert (load("b"), load("b"), load("a")) == ("B", "B", "A")
    assert loaded == ["a", "b", "a"]


def test_jobs_compute_matrix_products_on_one_thread():
    """Their rounding is that of any machine; afterwards, numpy has its threads again."""
    with threadpool_limits(2, "blas"):
        assert set(THREADS.map(blas_threads, range(3))) == {1}
        assert blas_threads()(0) == 2


@pytest.mark.parametrize("load", [_read_ambience, _load_network, _load_backbone], ids=lambda load: load.__module__)
def test_a_function_with_a_kept_result_reaches_another_machine(load):
    """A function that keeps its latest result is pickled by its name."""
    assert pickle.loads(pickle.dumps(load)) is load
