"""Parallel map over all cores, with one tool per thread, such as a TFLite interpreter."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import TypeVar

Tool = TypeVar("Tool")
Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(
    tool: Callable[[], Tool], work: Callable[[Tool, Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Apply a function to each item on all cores, and yield the results in order.

    Threads gain from several cores only while the function releases Python's lock.

    Args:
        tool: creates a tool; each thread gets its own.
        work: called with the thread's tool and an item. Its exceptions are raised here.
        items: consumed at once.
    """
    thread = local()

    def one(item: Item) -> Result:
        if not hasattr(thread, "tool"):
            thread.tool = tool()
        return work(thread.tool, item)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(one, items)
