"""Set-up of a worker: versions and threads that a result depends on, and the files that the worker can read."""

import hashlib
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import soundfile

import device
import training
from device.errors import UnavailableError
from device.util.text import whole_number
from training.data.array_cache import digest
from training.data.parallel import one_blas_thread

_PACKAGES = (
    "numpy",
    "scipy",
    "soxr",
    "soundfile",
    "webrtcvad-wheels",
    "tensorflow",
    "tensorflow-cpu",
    "ai-edge-litert",
    "tflite-runtime",
    "distributed",
)
"""Packages that results, or their way between machines, depend on."""
_THREADS = "TF_NUM_INTRAOP_THREADS"
"""TensorFlow reads this variable once, before its first operation."""


@lru_cache
def versions() -> Mapping[str, str]:
    """Return the version of Earshot's code, of each package, and the kind of machine; by name."""
    found = {"earshot's code": _code_digest(), "Python": ".".join(platform.python_version_tuple()[:2])}
    found["machine"] = platform.machine()
    found["libsndfile"] = soundfile.__libsndfile_version__
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


@lru_cache
def versions_digest() -> str:
    """Return a short name of `versions`: equal set-ups have an equal name."""
    return digest(versions())


def differences(theirs: Mapping[str, str]) -> list[str]:
    """Return a phrase for each version of a worker that differs from this process's."""
    return [f"{name} {theirs.get(name)}, here {ours}" for name, ours in versions().items() if theirs.get(name) != ours]


def tensorflow_threads() -> int:
    """Return the number of threads by which TensorFlow divides an operation here; sums are rounded by it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return whole_number(os.environ.get(_THREADS, ""), 1, 4096) or cores or 1


def use_threads(count: int) -> None:
    """Set that number for this process, which may have more or fewer cores; let numpy use one thread, for good.

    Raises:
        UnavailableError: TensorFlow uses another number already, for an earlier run.
    """
    if "tensorflow" in sys.modules and tensorflow_threads() != count:
        raise UnavailableError(
            f"TensorFlow has used {tensorflow_threads()} threads for an earlier run, and this one needs {count}: "
            "results are rounded by that number. Restart the worker"
        )
    os.environ[_THREADS] = str(count)
    one_blas_thread()


def sizes(paths: Iterable[Path]) -> list[int | None]:
    """Return the size of each file, bytes; None for one that cannot be read."""
    return [path.stat().st_size if path.is_file() else None for path in paths]


def _code_digest() -> str:
    """Return a short digest of all modules of Earshot: the version number alone does not change with each commit."""
    found = hashlib.sha256()
    for package in (device, training):
        folder = Path(next(iter(package.__path__)))
        for path in sorted(folder.rglob("*.py")):
            found.update(f"{folder.name}/{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:12]
