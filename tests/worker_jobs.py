"""Jobs for tests of workers: functions that the processes of dask workers can import."""

import os
import signal
from pathlib import Path

from device.errors import InputError


def squares():
    """Return a function that squares a number, and refuses 13."""

    def square(number):
        if number == 13:
            raise InputError("13 is refused. Take another number")
        return number * number

    return square


def squares_of_one_death(marker: Path):
    """Return a function that squares a number, and kills its process once: where the marker is missing."""

    def square(number):
        if number == 5 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number * number

    return square


def deadly():
    """Return a function that kills each process that it runs in."""
    return lambda _: os.kill(os.getpid(), signal.SIGKILL)
