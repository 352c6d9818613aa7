"""Job inbox: functions that other threads put in, for one thread to call in their order."""

from collections.abc import Callable
from queue import Empty, SimpleQueue

Job = Callable[[], None]

_JOBS_AT_ONCE = 1000


class JobInbox:
    """Queue of jobs. Any thread may put one; it returns at once."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Job] = SimpleQueue()
        self.put = self._queue.put

    def take(self, timeout: float) -> list[Job]:
        """Return all jobs, so that messages acknowledged together are deleted together; empty after `timeout` s."""
        jobs: list[Job] = []
        try:
            jobs.append(self._queue.get(timeout=timeout))
            while len(jobs) < _JOBS_AT_ONCE:
                jobs.append(self._queue.get_nowait())
        except Empty:
            pass
        return jobs
