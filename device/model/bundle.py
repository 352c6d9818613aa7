"""The bundle: a trained network and all that goes with it, read and verified before the daemon trusts it.

model.tflite    fully int8; log-mel in, one logit for each label out (one more for "none of them")
bundle.json     the manifest below
golden.npz      a few synthesised windows with the log-mel and the scores that they must give
MODEL_CARD.md   for people
"""

import hashlib
import json
import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from device.errors import ConfigError, shown
from device.model.features import FeatureConfig, LogMel, log_mel
from device.model.scoring import pool_scores
from device.types import UNKNOWN, Probabilities

FORMAT_VERSION = 1
MANIFEST, MODEL, GOLDEN, CARD = "bundle.json", "model.tflite", "golden.npz", "MODEL_CARD.md"

LOG_MEL_TOLERANCE = 1e-3
"""Largest difference of a golden log-mel (range [-1, 1]): libm and FFT differ between machines by far less."""
SCORE_TOLERANCE = 0.08
"""Largest difference of a golden score: int8 kernels round differently on ARM and x86, by a logit step or two."""
_NOT_GOLDEN = (OSError, ValueError, LookupError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What numpy and zipfile raise for a file that is no NPZ, or not as large as it says."""

Probability = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Quantization(_Part):
    """real = scale * (int8 - zero_point), as in Jacob et al., "Quantization and Training of Neural Networks
    for Efficient Integer-Arithmetic-Only Inference", CVPR 2018.
    """  # noqa: D205 - the formula is the summary

    scale: Annotated[float, Field(gt=0)]
    zero_point: Annotated[int, Field(ge=-128, le=127)]


class Calibration(_Part):
    """Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017)."""

    temperature: Annotated[float, Field(gt=0)]
    """Logits are divided by it before the softmax."""


class Threshold(_Part):
    """From which confidence a label becomes an event, and what that was seen to cost."""

    threshold: Probability
    false_alarms_per_hour: Annotated[float, Field(ge=0)]
    """Of this label, on ambience that held none of the labels, at this threshold."""
    live_odds: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    """By what factor `Unknown.live_odds` differ where this label is the likeliest: ambience is taken for some labels
    more often than for others."""


class Unknown(_Part):
    """When a sound is none of the labels."""

    output: bool
    """Whether the network has one more output, after the labels', for sounds that are none of them."""
    min_confidence: Probability
    """A best score below this is `unknown`."""
    live_odds: Annotated[float, Field(ge=1, le=1e30)] = 1.0
    """How many times as likely as among clips it is, where the device listens, that a sound is none of the labels (see
    `device.model.scoring`); 1 where nobody measured it."""
    clear_db: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Rise above the noise floor from which a sound is clear. Of fainter ones more are none of the labels."""
    faint_odds: Annotated[float, Field(ge=1, le=2)] = 1.0
    """By what factor the odds grow with each dB that a sound is fainter than `clear_db`."""

    def odds(self, rise_db: float, label_odds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Odds of "none of them" for what rises so far above the noise floor (see `device.model.scoring.pool_scores`).

        Args:
            rise_db: dB.
            label_odds: each label's factor, shape (labels,).
        """
        faint_db = max(0.0, self.clear_db - rise_db)
        return self.live_odds * self.faint_odds**faint_db * label_odds if self.output else np.ones_like(label_odds)


def is_label(name: str) -> bool:
    """Whether a label may have this name: it becomes part of a topic and a folder, and `unknown` means none of them."""
    return bool(name) and name != UNKNOWN and not name.startswith(".") and not set(name) & set("/+#\n\0")


class Manifest(_Part):
    """bundle.json. Unknown keys are refused: a newer format must not be half understood."""

    format_version: int
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    version: Annotated[str, Field(min_length=1)]
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    features: FeatureConfig
    input: Quantization
    output: Quantization
    calibration: Calibration
    thresholds: dict[str, Threshold]
    unknown: Unknown
    training: dict[str, Any]
    """Data, folds, clips, seed and the command that made the bundle."""
    accuracy: dict[str, Any]
    """Per test fold, float and int8, with the protocol."""
    sha256: str
    """Of model.tflite."""
    golden_sha256: str
    """Of golden.npz."""
    manifest_sha256: str
    """Of this file's content without this field (see `manifest_digest`)."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.format_version != FORMAT_VERSION:
            raise ValueError(f"format_version is {self.format_version}, this Earshot reads {FORMAT_VERSION}")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels holds a label twice")
        for label in self.labels:
            if not is_label(label):
                raise ValueError(f"label {label!r} cannot name an MQTT topic and a folder")
        if set(self.thresholds) != set(self.labels):
            raise ValueError("thresholds must name each label once")
        return self


class Bundle:
    """A bundle whose files match its manifest.

    Attributes:
        path: its folder.
        manifest: what bundle.json says.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._label_odds = np.array([manifest.thresholds[label].live_odds for label in manifest.labels])

    def __str__(self) -> str:
        """`name@version`, as event messages carry it."""
        return f"{self.manifest.name}@{self.manifest.version}"

    @property
    def labels(self) -> tuple[str, ...]:
        """What the network can name, in the order of its outputs."""
        return self.manifest.labels

    @property
    def features(self) -> FeatureConfig:
        """How a window becomes what the network sees."""
        return self.manifest.features

    @property
    def model_path(self) -> Path:
        """The TFLite file."""
        return self.path / MODEL

    def live(self, scores: NDArray[np.float32], heard: float = 1.0, rise_db: float = math.inf) -> Probabilities:
        """Scores of what the microphone hears, from those of its windows as if they were clips.

        Args:
            scores: shape (windows, labels), 0 to 1.
            heard: see `device.model.scoring.heard_windows`.
            rise_db: how far the sound rises above the noise floor.

        Returns:
            Shape (labels,), 0 to 1. They sum to 1 less the probability of "none of them".
        """
        return pool_scores(scores, heard, self.manifest.unknown.odds(rise_db, self._label_odds))

    def decide(self, probabilities: Probabilities) -> str:
        """The label of the highest score, or `unknown` where none of them deserves it.

        Args:
            probabilities: shape (labels,), 0 to 1; what they lack to 1 is the network's "none of them".
        """
        best = int(np.argmax(probabilities))
        confidence = float(probabilities[best])
        none_of_them = 1.0 - float(probabilities.sum()) if self.manifest.unknown.output else 0.0
        if confidence < max(self.manifest.unknown.min_confidence, none_of_them):
            return UNKNOWN
        return self.labels[best]


def load_bundle(path: Path) -> Bundle:
    """Read a bundle's manifest and check that its files are the ones it was written with.

    Raises:
        ConfigError: the folder or a file is missing, unreadable, or not what the manifest says.
    """
    if not path.is_dir():
        raise ConfigError(
            f"no bundle at {path}: not a folder. Set model.bundle (or --bundle) to a folder that "
            "`earshot-train export` wrote"
        )
    manifest = _read_manifest(path / MANIFEST)
    for name, expected in ((MODEL, manifest.sha256), (GOLDEN, manifest.golden_sha256)):
        if _file_digest(path / name) != expected:
            raise _broken(path / name, f"its sha256 is not the one in {MANIFEST}: the file was changed or damaged")
    return Bundle(path, manifest)


def self_test(bundle: Bundle, classify: Callable[[LogMel], Probabilities]) -> None:
    """Check that this machine computes from the golden windows what the trainer's machine did.

    Args:
        bundle: as loaded.
        classify: the classifier made from it: log-mel (mel_bands, frames) -> scores (labels,).

    Raises:
        ConfigError: a log-mel or a score is further off than rounding explains.
    """
    path = bundle.path / GOLDEN
    waveforms, log_mels, scores = _read_golden(path, bundle.features)
    for number, (waveform, expected_log_mel, expected_scores) in enumerate(
        zip(waveforms, log_mels, scores, strict=True)
    ):
        computed = log_mel(waveform, bundle.features)
        _compare(path, f"log-mel of golden window {number}", computed, expected_log_mel, LOG_MEL_TOLERANCE)
        _compare(path, f"scores of golden window {number}", classify(computed), expected_scores, SCORE_TOLERANCE)


def manifest_digest(manifest: dict[str, Any]) -> str:
    """Hex sha256 of a manifest's content: JSON with sorted keys, without `manifest_sha256` itself."""
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_manifest(path: Path) -> Manifest:
    try:
        raw = path.read_bytes()
        content = json.loads(raw)
    except FileNotFoundError as error:
        raise _broken(path, "missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise _broken(path, f"not readable as JSON ({error})") from error
    if not isinstance(content, dict):
        raise _broken(path, "not a JSON object")
    try:
        manifest = Manifest.model_validate_json(raw)  # from JSON, so that strict types still take a list as a tuple
    except ValidationError as error:
        faults = (
            f"{shown('.'.join(map(str, fault['loc']))) or 'it'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        )
        raise _broken(path, "; ".join(faults)) from error
    if manifest.manifest_sha256 != manifest_digest(content):
        raise _broken(path, "its content does not match its manifest_sha256: the file was changed or damaged")
    return manifest


def _read_golden(path: Path, features: FeatureConfig) -> list[NDArray[Any]]:
    """Waveforms, log-mels and scores, as many of each."""
    try:
        with np.load(path, allow_pickle=False) as golden:
            arrays = [golden[name] for name in ("waveforms", "log_mels", "scores")]
    except _NOT_GOLDEN as error:
        raise _broken(path, f"not readable ({error})") from error
    for array, dtype in zip(arrays, (np.int16, np.float32, np.float32), strict=True):
        if array.dtype != dtype or array.ndim == 0 or len(array) != len(arrays[0]) or len(array) == 0:
            raise _broken(path, "its arrays do not belong together")
    if arrays[0].shape[1:] != (features.window_length,):
        raise _broken(path, f"its windows are not of {features.window_length} samples")
    return arrays


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _broken(path, error.strerror or str(error)) from error


def _compare(
    path: Path, what: str, computed: NDArray[np.float32], expected: NDArray[np.float32], tolerance: float
) -> None:
    if computed.shape != expected.shape:
        raise _broken(path, f"the {what} has shape {expected.shape}, this machine computes {computed.shape}")
    difference = float(np.max(np.abs(computed - expected)))
    if not difference <= tolerance:  # a NaN fails too
        raise _broken(path, f"the {what} is off by {difference:.3g} here, allowed is {tolerance}")


def _broken(path: Path, what: str) -> ConfigError:
    return ConfigError(f"bundle refused: {path}: {what}. Copy the bundle again, or export it anew")
