"""Progress bars on standard error: a moving line on a terminal, separate lines in a log."""

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

_TERMINAL_SECONDS, _LOG_SECONDS = 0.2, 30.0
"""Least time between two updates."""

Item = TypeVar("Item")


class _LogLines(tqdm):  # type: ignore[misc] # tqdm ships no type information
    """Progress bar for a log: each update is a line of its own, because a log keeps carriage returns."""

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        """Return a function that writes one update; `close` ends the last line."""
        written = itertools.count()

        def print_status(status: str) -> None:
            file.write(f"\n{status}" if next(written) else status)
            file.flush()

        return print_status


def progress(items: Iterable[Item], total: int, description: str) -> Iterator[Item]:
    """Yield the items and report on standard error how many are done, with the time left.

    A terminal shows one moving bar, from 1 s on. A log gets a line at the start, one every 30 s, and one at the end.

    Args:
        items: any iterable.
        total: number of items, for the time left.
        description: first words of the line.
    """
    terminal = sys.stderr.isatty()
    bar = tqdm if terminal else _LogLines
    yield from bar(
        items,
        total=total,
        desc=description,
        file=sys.stderr,
        miniters=1,
        mininterval=_TERMINAL_SECONDS if terminal else _LOG_SECONDS,
        delay=1.0 if terminal else 0.0,
        dynamic_ncols=terminal,
        bar_format=None if terminal else "{desc}: {n_fmt}/{total_fmt}, {elapsed} passed, {remaining} left",
    )
