"""Reader of a stream on a thread of its own, for tests."""

import threading
from contextlib import contextmanager

from single_blocks import one_by_one
from stream_servers import RATE

from device.audio.stream_source import StreamSource
from device.types import SourceLost


@contextmanager
def listening(url, channels=()):
    """Read a stream on a thread; yield the source, its items, and its states with their messages."""
    items, states, stop = [], [], threading.Event()
    report = lambda state, message: states.append((state, message))  # noqa: E731
    source = StreamSource(url, RATE, channels=channels, queue_seconds=10, stop=stop, on_state=report)
    thread = threading.Thread(target=lambda: [items.append(item) for item in source])
    thread.start()
    try:
        yield source, items, states
    finally:
        stop.set()
        thread.join(3)
        assert not thread.is_alive(), "the source does not end at once"


def blocks_of(items):
    return [item for item in one_by_one(items) if not isinstance(item, SourceLost)]
