"""Long steps, kept on disk: what was computed once from the same content is never computed again."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")
Arrays = dict[str, NDArray[Any]]


def file_digest(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content: Any) -> str:
    """Short name for anything that JSON can hold: equal content, equal name."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


class Cache:
    """Arrays in a folder, named by the digest of everything that they depend on.

    A file appears under its name only when it is whole, so a run that was killed resumes after the last
    finished step. Deleting the folder is always safe.

    Args:
        folder: made when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def arrays(self, what: str, key: Mapping[str, Any], compute: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of this key, from disk or else computed and kept.

        Args:
            what: first part of the file's name, for people.
            key: everything that the arrays depend on, as JSON.
            compute: makes them.
        """
        path = self._folder / f"{what}-{digest(dict(key))}.npz"
        if not path.exists():
            arrays = compute()
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}.partial")
            with partial.open("wb") as file:
                np.savez(file, **arrays)
            partial.replace(path)
            return arrays
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)


def progress(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Pass items on and show on stderr how many are done and the time left: on a terminal as one moving line,
    in a log as a line every 30 s.
    """  # noqa: D205 - one thought
    started = one_line = time.monotonic()
    moving = sys.stderr.isatty()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - one_line >= (0.2 if moving else 30.0) or (done == total and now - started >= 1.0):
            left = (now - started) / done * (total - done)
            end = "\r" if moving and done < total else "\n"
            print(f"{what}: {done}/{total}, {left:.0f} s left   ", end=end, file=sys.stderr, flush=True)
            one_line = now
