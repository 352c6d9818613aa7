"""What C libraries print, and what is left of stderr afterwards."""

import os
import threading

from device.util.native_stderr import silent_stderr


def test_two_threads_that_silence_stderr_leave_it_as_it_was():
    """Each core loads a network of its own at the same time: progress must go on being shown afterwards."""
    screen = os.dup(2)
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
        assert os.path.sameopenfile(screen, 2)
    finally:
        os.dup2(screen, 2)
        os.close(screen)
