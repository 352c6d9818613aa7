"""Self-test of a bundle: golden windows, computed on this machine and compared with the trainer's values."""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.model.bundle import Bundle, bundle_error
from device.model.features import FeatureConfig, log_mel
from device.model.manifest import GOLDEN
from device.types import LogMel, Probabilities

LOG_MEL_TOLERANCE = 1e-3
"""Largest difference of a golden log-mel (range [-1, 1]). libm and FFT differ between machines by far less."""
SCORE_TOLERANCE = 0.08
"""Largest difference of a golden score. int8 kernels round differently on ARM and x86, by a logit step or two."""
_READ_ERRORS = (OSError, ValueError, LookupError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""Errors of numpy and zipfile for a file that is no NPZ, or shorter than its header states."""


def self_test(bundle: Bundle, classify: Callable[[LogMel], Probabilities]) -> None:
    """Verify that this machine computes the golden log-mels and scores.

    Args:
        bundle: as loaded.
        classify: its classifier: log-mel (mel_bands, frames) -> scores (labels,).

    Raises:
        ConfigError: golden.npz is unreadable, or a difference is larger than rounding explains.
    """
    path = bundle.path / GOLDEN
    waveforms, log_mels, scores = _read_golden(path, bundle.features)
    for number, (waveform, expected_log_mel, expected_scores) in enumerate(
        zip(waveforms, log_mels, scores, strict=True)
    ):
        computed = log_mel(waveform, bundle.features)
        _compare(path, f"log-mel of golden window {number}", computed, expected_log_mel, LOG_MEL_TOLERANCE)
        _compare(path, f"scores of golden window {number}", classify(computed), expected_scores, SCORE_TOLERANCE)


def _read_golden(path: Path, features: FeatureConfig) -> list[NDArray[Any]]:
    """Read waveforms, log-mels and scores: equally many of each."""
    try:
        with np.load(path, allow_pickle=False) as golden:
            arrays = [golden[name] for name in ("waveforms", "log_mels", "scores")]
    except _READ_ERRORS as error:
        raise bundle_error(path, f"not readable ({error})") from error
    for array, dtype in zip(arrays, (np.int16, np.float32, np.float32), strict=True):
        if array.dtype != dtype or array.ndim == 0 or len(array) != len(arrays[0]) or len(array) == 0:
            raise bundle_error(path, "its arrays do not belong together")
    if arrays[0].shape[1:] != (features.window_length,):
        raise bundle_error(path, f"its windows are not of {features.window_length} samples")
    return arrays


def _compare(
    path: Path, name: str, computed: NDArray[np.float32], expected: NDArray[np.float32], tolerance: float
) -> None:
    if computed.shape != expected.shape:
        raise bundle_error(path, f"the {name} has shape {expected.shape}, this machine computes {computed.shape}")
    difference = float(np.max(np.abs(computed - expected)))
    if not difference <= tolerance:  # a NaN fails too
        raise bundle_error(path, f"the {name} is off by {difference:.3g} here, allowed is {tolerance}")
