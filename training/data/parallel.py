"""Work on all cores with tools that serve one thread at a time, as an interpreter of TFLite does."""

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
    """What work gives for each item, in their order. It must release Python's lock to gain from cores.

    Args:
        tool: makes one; each thread has its own.
        work: called with the thread's tool and an item. What it raises is raised here.
        items: taken all at once.
    """
    own = local()

    def one(item: Item) -> Result:
        if not hasattr(own, "tool"):
            own.tool = tool()
        return work(own.tool, item)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(one, items)
