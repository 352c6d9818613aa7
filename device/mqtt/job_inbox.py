"""Job inbox: functions that other threads put in, for one thread to call in their order."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue

Job = Callable[[], None]

_JOBS_AT_ONCE = 1000


class JobInbox:
    """Queue of jobs. Any thread may put one; it returns at once."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Job] = SimpleQueue()
        self._taken: deque[Job] = deque()
        self.put = self._queue.put

    def take(self, timeout: float) -> Iterator[Job]:
        """Yield all jobs, so that messages acknowledged together are deleted together; none after `timeout` s.

        If a job fails, the later ones remain for the next call.
        """
        with suppress(Empty):
            while len(self._taken) < _JOBS_AT_ONCE:
                self._taken.append(self._queue.get(block=not self._taken, timeout=timeout))
        while self._taken:
            yield self._taken.popleft()
