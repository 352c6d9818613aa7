"""Job inbox: functions that other threads put in, for one thread to call in their order."""

import time
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


class InboxProbe:
    """Measurement of how long an inbox's thread has made no progress. Used from one thread.

    Each call after progress puts a job into the inbox. A job that is still there shows that the thread hangs.

    Args:
        inbox: the inbox.
        check: called on the inbox's thread with each such job; it may hang.
    """

    def __init__(self, inbox: JobInbox, check: Job) -> None:
        self._inbox = inbox
        self._check = check
        self._probed_at: float | None = None

    def silent_seconds(self) -> float:
        """Return the time since the job was put that is still there, s."""
        if self._probed_at is None:
            self._probed_at = time.monotonic()
            self._inbox.put(self._answer)
            return 0.0
        return time.monotonic() - self._probed_at

    def _answer(self) -> None:
        self._check()
        self._probed_at = None
