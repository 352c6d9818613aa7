"""Tests of the suppression of native output: stderr is restored afterwards."""

import os
import threading

from device.util.native_stderr import silent_stderr


def test_two_threads_restore_stderr():
    """Threads that load networks at the same time leave stderr as it was, so progress is still shown."""
    stderr = os.dup(2)
    first_inside, second_inside, first_left = threading.Event(), threading.Event(), threading.Event()

    def second() -> None:
        first_inside.wait()
        with silent_stderr():
            second_inside.set()
            first_left.wait()

    thread = threading.Thread(target=second)
    thread.start()
    try:
        with silent_stderr():
            first_inside.set()
            second_inside.wait(timeout=0.3)
        first_left.set()
        thread.join()
        assert os.path.sameopenfile(stderr, 2)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
