"""Suppression of the messages that C libraries write to stderr."""

import contextlib
import os
import sys
from collections.abc import Iterator
from threading import RLock

_LOCK = RLock()


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Discard everything that is written to file descriptor 2 within the context.

    TFLite prints its delegate, and ALSA prints each missing sound card. No setting disables either, and real failures
    raise exceptions. The output of other threads is discarded too, so keep the block short. A lock admits one thread at
    a time: a second one would save the null device as stderr and restore it at its end.
    """
    with _LOCK:
        sys.stderr.flush()
        saved = os.dup(2)
        null_device = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null_device, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(null_device)
