"""Workers of a dask cluster: jobs on several workstations, with the results of one process.

Dask repeats the jobs of a worker that dies on another one. Each job carries its function, so a worker that joins later
needs nothing else; it must have the same versions as this process, and the same files under the same paths.
"""

import hashlib
import logging
import pickle
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from device.errors import EarshotError, UnavailableError
from device.util.extras import install_command
from device.util.text import one_line
from training.data.parallel import JOBS_PER_THREAD, Item, Result, Workers, in_order, in_parts
from training.data.worker_setup import differences, sizes, tensorflow_threads, use_threads, versions, versions_digest

CONNECT_SECONDS = 10.0
"""Longest wait for the scheduler, and for its first worker, s."""
ABSENT_SECONDS = 120.0
"""Longest time without any worker during a step, s: a workstation may restart."""
_POLL_SECONDS = 5.0
_CONTINUES = "The same command continues after the last finished step"

_thread = threading.local()
"""The latest function of each thread of a worker."""


@contextmanager
def connect(address: str) -> Iterator["DaskWorkers"]:
    """Connect to a scheduler, and check its workers.

    Args:
        address: `tcp://HOST:PORT`, or `tls://HOST:PORT` with dask's configuration of certificates.

    Raises:
        UnavailableError: dask is not installed, no scheduler or no worker answers, or a worker has other versions.
    """
    try:
        from distributed import Client
    except ImportError as error:
        install = install_command("training", "distributed")
        raise UnavailableError(f"--scheduler needs dask.distributed: {install}") from error
    for name in ("distributed", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # its faults become exceptions, reported here in one line
    try:
        make: Any = Client  # its constructor has no types
        client: Any = make(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError; ValueError is for a faulty address
        raise UnavailableError(
            f"no dask scheduler at {address} ({one_line(str(error))}). Start one with `dask scheduler`, and pass the "
            "address that it prints to --scheduler"
        ) from error
    try:
        workers = DaskWorkers(client, address)
        workers.check_versions()
        yield workers
    finally:
        client.close()


class DaskWorkers(Workers):
    """Workers of a dask cluster.

    Args:
        client: connection to the scheduler.
        address: address of the scheduler, for messages.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._client = client
        self._address = address
        self._threads_then, self._asked = 0, -_POLL_SECONDS

    def check_versions(self) -> None:
        """Check that there are workers, and that each has the versions of this process.

        Raises:
            UnavailableError: there is none, or one differs.
        """
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError as error:
            raise UnavailableError(
                f"the scheduler at {self._address} has no worker. Start one on each workstation: "
                f"dask worker {self._address}"
            ) from error
        faults = []
        for worker, found in self.run_everywhere(versions).items():
            if isinstance(found, BaseException):
                faults.append(f"{worker} cannot load Earshot ({type(found).__name__}: {one_line(str(found))})")
            elif differing := differences(found):
                faults.append(f"{worker} has {'; '.join(differing)}")
        if faults:
            raise UnavailableError(
                f"results would differ between workers: {'. '.join(faults)}. Install the same Earshot and packages on "
                "each workstation (docs/training.md), and restart its worker"
            )

    def check_files(self, files: Sequence[Path], folder: Path) -> None:
        """See `Workers`. Files are compared by size; in the folder, the workers must find a new file."""
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".workers-{uuid.uuid4().hex}"
        probe.write_bytes(b"x" * 37)
        try:
            paths = [*files, probe]
            ours = sizes(paths)
            for worker, theirs in self.run_everywhere(sizes, paths).items():
                if isinstance(theirs, BaseException):
                    raise UnavailableError(f"worker {worker} cannot check its files: {one_line(str(theirs))}")
                different = [path for path, a, b in zip(paths, ours, theirs, strict=True) if a != b]
                if different == [probe]:
                    raise UnavailableError(
                        f"worker {worker} does not share the folder {folder}, where bundles to judge are written. "
                        "Mount it on each workstation under the same path"
                    )
                if different:
                    raise UnavailableError(
                        f"worker {worker} has no such file, or one of another size: {different[0]} (and "
                        f"{len(different) - 1} more). Mount the folders of sounds and weights on each workstation "
                        "under the same paths"
                    )
        finally:
            probe.unlink()

    def map(
        self, make: Callable[[], Callable[[Item], Result]], items: Iterable[Item], together: int = 1
    ) -> Iterator[Result]:
        """See `Workers`.

        Raises:
            UnavailableError: the scheduler is lost, or all workers are, or a job killed several workers.
        """
        content = zlib.compress(pickle.dumps(make))
        run = partial(run_job, content, hashlib.sha256(content).hexdigest(), versions_digest(), tensorflow_threads())

        def submit(part: list[Item]) -> "_Job":
            if self._client.status == "closed":
                raise self._lost()
            return _Job(self._client.submit(run, part, pure=False), self)

        for results in in_order(submit, in_parts(items, together), self._limit):
            yield from results

    def wait(self, future: Any) -> Any:
        """Return the result of a future of dask.

        Raises:
            UnavailableError: see `map`.
        """
        from distributed import CancelledError, KilledWorker

        seen = time.monotonic()
        while True:
            try:
                return future.result(timeout=_POLL_SECONDS)
            except TimeoutError:
                if self._threads():
                    seen = time.monotonic()
            except KilledWorker as error:
                raise UnavailableError(
                    f"a job ended the process of several workers, the last one at {error.last_worker.address}. Their "
                    f"memory may be too small: give it to fewer threads (dask worker --nthreads 1). {_CONTINUES}"
                ) from error
            except CancelledError as error:
                raise self._lost() from error
            if time.monotonic() - seen > ABSENT_SECONDS:
                raise UnavailableError(
                    f"the scheduler at {self._address} has had no worker for {ABSENT_SECONDS:.0f} s. Start one: "
                    f"dask worker {self._address}. {_CONTINUES}"
                )

    def _lost(self) -> UnavailableError:
        return UnavailableError(
            f"the dask scheduler at {self._address} is lost. Start it and its workers again. {_CONTINUES}"
        )

    def _limit(self) -> int:
        return max(1, self._threads()) * JOBS_PER_THREAD

    def _threads(self) -> int:
        """Return the number of threads of all workers, as of a few seconds ago; 0 if the scheduler does not answer."""
        if time.monotonic() - self._asked > _POLL_SECONDS:
            try:
                self._threads_then = sum(self._client.nthreads().values())
            except OSError:  # dask reconnects meanwhile, or cancels all jobs
                self._threads_then = 0
            self._asked = time.monotonic()
        return self._threads_then

    def run_everywhere(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Run a function once on each worker; return its results or exceptions by the worker's address."""
        found: dict[str, Any] = self._client.run(function, *arguments, on_error="return")
        return found


class _Job:
    """Job of dask, which waits without a hang."""

    def __init__(self, future: Any, workers: DaskWorkers) -> None:
        self._future = future
        self._workers = workers

    def result(self) -> Any:
        return self._workers.wait(self._future)

    def cancel(self) -> None:
        if self._future.client.status == "running":  # a lost scheduler has no jobs left
            self._future.cancel()


def run_job(content: bytes, name: str, expected: str, threads: int, items: list[Any]) -> list[Any]:
    """Apply a function to some items, on a worker.

    Args:
        content: compressed pickle of the function's maker.
        name: digest of the content. A thread of the worker keeps its latest function under it.
        expected: `versions_digest` of the process that submits; the worker may have joined after the check.
        threads: `tensorflow_threads` of that process.
        items: arguments of the function.
    """
    from distributed import get_worker

    if expected != versions_digest():
        raise UnavailableError(
            f"worker {get_worker().address} joined with other versions of Earshot or of its packages, so its results "
            f"would differ. Install the same everywhere (docs/training.md), and restart its worker. {_CONTINUES}"
        )
    try:
        use_threads(threads)
        if getattr(_thread, "name", None) != name:
            _thread.function = pickle.loads(zlib.decompress(content))()
            _thread.name = name
        return [_thread.function(item) for item in items]
    except EarshotError as error:
        raise type(error)(f"{error} (on worker {get_worker().address})") from error
