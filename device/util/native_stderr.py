"""Keeps C libraries from writing to the screen."""

import contextlib
import os
import sys
from collections.abc import Iterator
from threading import RLock

_SILENCE = RLock()


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Discard what native code writes to stderr meanwhile.

    TFLite announces its delegate, and ALSA lists each sound card that is not there; no setting turns either off,
    and their real failures reach us as exceptions. Python's own output of other threads is discarded too, so
    keep the block short. One thread at a time: the second would take the first one's silence for the screen, and leave
    it for good.
    """
    with _SILENCE:
        sys.stderr.flush()
        saved = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(nowhere)
