"""Cache of arrays on disk, so that an interrupted run repeats no finished step."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def file_digest(path: Path) -> str:
    """Return the hex sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content: Any) -> str:
    """Return a short name of JSON content: equal content gives an equal name."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


class Cache:
    """Arrays in a folder, named by the digest of everything that they depend on.

    A file appears under its name only when it is complete, so an interrupted run continues after the last finished
    step. The folder can be deleted at any time.

    Args:
        folder: created when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def arrays(self, name: str, key: Mapping[str, Any], compute: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of a key: loaded from disk, or computed and stored.

        Args:
            name: first part of the file's name, for people.
            key: everything that the arrays depend on, as JSON.
            compute: function that computes the arrays.
        """
        path = self._folder / f"{name}-{digest(dict(key))}.npz"
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
