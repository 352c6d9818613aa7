"""Workers: a map of jobs over the threads of this process, or over other machines (`training.data.dask_workers`)."""

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial, wraps
from itertools import islice
from pathlib import Path
from threading import Lock, local
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

Parameters = ParamSpec("Parameters")
Tool = TypeVar("Tool")
Item = TypeVar("Item")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

JOBS_PER_THREAD = 4
"""Jobs in progress for each thread: enough to keep all of them busy, and few enough to keep the items in memory."""


class Workers(ABC):
    """Base class of what long steps run on. The results depend on the items alone, not on the workers."""

    @abstractmethod
    def map(
        self, make: Callable[[], Callable[[Item], Result]], items: Iterable[Item], together: int = 1
    ) -> Iterator[Result]:
        """Apply a function to each item, and yield the results in order.

        Args:
            make: creates the function, such as one with a TFLite interpreter; each thread of a worker gets its own. For
                workers of other machines it must be picklable: a function of a module, or a `partial` of one.
            items: read as they are needed.
            together: items that other machines get at once; more for quick items.

        Raises:
            EarshotError: an exception of the function.
        """

    def check_files(self, files: Sequence[Path], folder: Path) -> None:
        """Check that all workers read the same files, before long work.

        Args:
            files: files that the jobs read.
            folder: folder in which this process writes files for the jobs.

        Raises:
            UnavailableError: some worker cannot read some of them.
        """
        del files, folder


class Threads(Workers):
    """Threads of this process, one for each core. They gain while functions release Python's lock, as most here do."""

    def map(
        self, make: Callable[[], Callable[[Item], Result]], items: Iterable[Item], together: int = 1
    ) -> Iterator[Result]:
        """See `Workers`."""
        del together
        thread, count = local(), os.cpu_count() or 1

        def one(item: Item) -> Result:
            if not hasattr(thread, "function"):
                thread.function = make()
            result: Result = thread.function(item)
            return result

        with one_blas_thread(), ThreadPoolExecutor(count) as pool:
            yield from in_order(lambda item: pool.submit(one, item), items, lambda: count * JOBS_PER_THREAD)


THREADS = Threads()
"""The default of every step."""


class Job(Protocol, Generic[Result_co]):
    """Job in progress, such as a future of `concurrent.futures`."""

    def result(self) -> Result_co:
        """Wait for the result and return it, or raise the job's exception."""

    def cancel(self) -> Any:
        """Cancel the job if it has not begun."""


def one_blas_thread() -> Any:
    """Let numpy compute a matrix product on one thread, here and now, and in a `with` until its end.

    The products of a job are rounded by the number of threads, which differs between machines. The jobs themselves
    use all cores.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "blas")


def in_order(
    submit: Callable[[Item], Job[Result]], items: Iterable[Item], limit: Callable[[], int]
) -> Iterator[Result]:
    """Submit a job for each item, and yield the results in order; cancel what is left if the caller stops.

    Args:
        submit: starts the job of an item.
        items: read as they are needed.
        limit: returns the largest number of jobs in progress.
    """
    jobs: deque[Job[Result]] = deque()
    try:
        for item in items:
            jobs.append(submit(item))
            while len(jobs) >= limit():
                yield jobs.popleft().result()
        while jobs:
            yield jobs.popleft().result()
    finally:
        for job in jobs:
            job.cancel()


def in_parts(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `size`."""
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part


def parallel_map(
    tool: Callable[[], Tool], work: Callable[[Tool, Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Apply a function to each item on the threads of this process, and yield the results in order.

    Args:
        tool: creates a tool, such as a TFLite interpreter; each thread gets its own.
        work: called with the thread's tool and an item. Its exceptions are raised here.
        items: read as they are needed.
    """
    return THREADS.map(lambda: partial(work, tool()), items)


def keep_latest(make: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Return a function that keeps the latest result of `make` for all threads of a process.

    A worker thus loads a network once. Arguments must be hashable, and contain the digest or time of each file that
    `make` reads, because a worker may live longer than the content of a file.
    """
    lock, latest = Lock(), lru_cache(maxsize=1)(make)

    @wraps(make)  # under its name it is pickled, on the way to a worker of another machine
    def kept(*arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
        with lock:
            return latest(*arguments, **named)  # type: ignore[arg-type] # hashable, as the docstring requires

    return kept
