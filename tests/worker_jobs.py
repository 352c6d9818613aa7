"""Jobs for tests of workers: functions that the processes of dask workers can import."""

import os
import signal
from pathlib import Path

from threadpoolctl import threadpool_info, threadpool_limits

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


def set_blas_threads(count):
    """Let numpy use a number of threads for matrix products."""
    threadpool_limits(count, "blas")


def blas_threads():
    """Return a function that returns the number of threads of numpy's matrix products."""
    return lambda _: max(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")


def deadly():
    """Return a function that kills each process that it runs in."""
    return lambda _: os.kill(os.getpid(), signal.SIGKILL)
