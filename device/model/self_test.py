"""Self-test of a bundle: golden windows, computed on this machine and compared with the trainer's values.

golden.npz contains `waveforms` (n, window_length), int16. In format 2 it contains for each network `<name>_log_mels`
(n, mel_bands, frames) and `<name>_outputs` (n, outputs), the raw output tensor, both float32. In format 1 it contains
`log_mels`, and `scores` (n, labels).
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.model.bundle import Bundle, bundle_error
from device.model.classifier import BaseNetwork
from device.model.manifest import GOLDEN
from device.model.manifest_network import INCEPTION, Head, Part

LOG_MEL_TOLERANCE = 1e-3
"""Largest difference of a golden log-mel (range about 2 to 4). libm and FFT differ between machines by far less."""
SCORE_TOLERANCE = 0.08
"""Largest difference of a golden probability of a label. int8 kernels round differently on ARM and x86, by a logit step
or two."""
AUDIOSET_TOLERANCE = 0.02
"""Largest difference of a golden probability of an AudioSet class."""
EMBEDDING_TOLERANCE = 0.05
"""Largest difference of a golden embedding, relative to its largest absolute value."""
_READ_ERRORS = (OSError, ValueError, LookupError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""Errors of numpy and zipfile for a file that is no NPZ, or shorter than its header states."""

Arrays = list[NDArray[Any]]


def self_test(bundle: Bundle, networks: Mapping[str, BaseNetwork]) -> None:
    """Verify that this machine computes the golden log-mels and outputs of every network.

    Args:
        bundle: as loaded.
        networks: its networks by name.

    Raises:
        ConfigError: golden.npz is unreadable, or a difference is larger than rounding explains. The message contains
            the name of the network.
    """
    if bundle.manifest.format_version == 1:
        _test_format_1(bundle, networks[INCEPTION])
        return
    for name in bundle.manifest.networks:
        _test_network(bundle, name, networks[name])


def _test_format_1(bundle: Bundle, network: BaseNetwork) -> None:
    path = bundle.path / GOLDEN
    arrays = _read_golden(path, ("waveforms", "log_mels", "scores"), bundle.window_length)
    for number, (waveform, expected_log_mel, expected_scores) in enumerate(zip(*arrays, strict=True)):
        window = f"golden window {number}"
        log_mel = network.log_mel(waveform)
        _compare(path, f"log-mel of {window}", log_mel, expected_log_mel, LOG_MEL_TOLERANCE)
        scores = network.probabilities(network.outputs(log_mel), "clip")[: len(bundle.labels)]
        _compare(path, f"scores of {window}", scores, expected_scores, SCORE_TOLERANCE)


def _test_network(bundle: Bundle, name: str, network: BaseNetwork) -> None:
    path = bundle.path / GOLDEN
    arrays = _read_golden(path, ("waveforms", f"{name}_log_mels", f"{name}_outputs"), bundle.window_length)
    for number, (waveform, expected_log_mel, expected) in enumerate(zip(*arrays, strict=True)):
        window = f"golden window {number}, network {name}"
        log_mel = network.log_mel(waveform)
        _compare(path, f"log-mel of {window}", log_mel, expected_log_mel, LOG_MEL_TOLERANCE)
        outputs = network.outputs(log_mel)
        if expected.shape != (network.manifest.output_length,):
            raise bundle_error(
                path, f"{name}_outputs has {expected.shape} values a window, the network {outputs.shape}"
            )
        for part, computed_values, expected_values, tolerance in _parts(network, outputs, expected):
            _compare(path, f"{part} output of {window}", computed_values, expected_values, tolerance)


def _parts(
    network: BaseNetwork, computed: NDArray[np.float32], expected: NDArray[np.float32]
) -> Iterator[tuple[Part, NDArray[np.float32], NDArray[np.float32], float]]:
    """Yield each part of the outputs in the scale that it is compared in, and its tolerance."""
    heads: tuple[Head, ...] = tuple(network.manifest.temperature)
    for head in heads:
        yield head, network.probabilities(computed, head), network.probabilities(expected, head), SCORE_TOLERANCE
    classes = network.audioset(computed), network.audioset(expected)
    if classes[0] is not None and classes[1] is not None:
        yield "audioset", classes[0], classes[1], AUDIOSET_TOLERANCE
    if "embedding" in network.manifest.outputs:
        embedding = network.part(expected, "embedding")
        tolerance = EMBEDDING_TOLERANCE * float(np.abs(embedding).max())
        yield "embedding", network.part(computed, "embedding"), embedding, tolerance


def _read_golden(path: Path, names: tuple[str, str, str], window_length: int) -> Arrays:
    """Read waveforms, log-mels and outputs: equally many of each."""
    try:
        with np.load(path, allow_pickle=False) as golden:
            arrays = [golden[name] for name in names]
    except _READ_ERRORS as error:
        raise bundle_error(path, f"not readable ({error})") from error
    for array, dtype in zip(arrays, (np.int16, np.float32, np.float32), strict=True):
        if array.dtype != dtype or array.ndim == 0 or len(array) != len(arrays[0]) or len(array) == 0:
            raise bundle_error(path, f"its arrays {', '.join(names)} do not belong together")
    if arrays[0].shape[1:] != (window_length,):
        raise bundle_error(path, f"its windows are not of {window_length} samples")
    return arrays


def _compare(
    path: Path, name: str, computed: NDArray[np.float32], expected: NDArray[np.float32], tolerance: float
) -> None:
    if computed.shape != expected.shape:
        raise bundle_error(path, f"the {name} has shape {expected.shape}, this machine computes {computed.shape}")
    difference = float(np.max(np.abs(computed - expected)))
    if not difference <= tolerance:  # a NaN fails too
        raise bundle_error(path, f"the {name} is off by {difference:.3g} here, allowed is {tolerance:.3g}")
