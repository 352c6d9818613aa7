"""Manifest of a bundle: bundle.json as frozen models, and its digest."""

import hashlib
import json
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from device.model.features import FeatureConfig
from device.types import UNKNOWN

FORMAT_VERSION = 1
MANIFEST, MODEL, GOLDEN, CARD = "bundle.json", "model.tflite", "golden.npz", "MODEL_CARD.md"

Probability = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Quantization(_Part):
    """Affine quantization: real = scale * (int8 - zero_point).

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", CVPR 2018.
    """

    scale: Annotated[float, Field(gt=0)]
    zero_point: Annotated[int, Field(ge=-128, le=127)]


class Calibration(_Part):
    """Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017)."""

    temperature: Annotated[float, Field(gt=0)]
    """Divisor of the logits before the softmax."""


class Threshold(_Part):
    """Threshold of a label, with the false alarms measured at it."""

    threshold: Probability
    """Confidence from which the label becomes an event."""
    false_alarms_per_hour: Annotated[float, Field(ge=0)]
    """False alarms of this label an hour, on ambience without any of the labels, at this threshold."""
    live_odds: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    """Factor on `Unknown.live_odds` where this label is the likeliest. Ambience resembles some labels more than
    others."""


class Unknown(_Part):
    """Rule for `unknown`: its output, the least confidence of a label, and the prior odds of live sound."""

    output: bool
    """True if the network has one more output, after those of the labels, for `unknown`."""
    min_confidence: Probability
    """Confidence below which the best label is `unknown`."""
    live_odds: Annotated[float, Field(ge=1, le=1e30)] = 1.0
    """Prior odds of `unknown` live, relative to the training clips (see `device.model.scoring`); 1 if not measured."""
    clear_db: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Rise above the noise floor from which a sound is clear, dB. More of the fainter sounds are none of the labels."""
    faint_odds: Annotated[float, Field(ge=1, le=2)] = 1.0
    """Factor on the odds for each dB by which a sound is fainter than `clear_db`."""

    def odds(self, rise_db: float, label_odds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the prior odds of `unknown` for a sound (see `device.model.scoring.pool_scores`).

        Args:
            rise_db: rise of the sound above the noise floor, dB.
            label_odds: each label's factor, shape (labels,).

        Returns:
            Shape (labels,). All are 1 for a network without an output for `unknown`.
        """
        faint_db = max(0.0, self.clear_db - rise_db)
        return self.live_odds * self.faint_odds**faint_db * label_odds if self.output else np.ones_like(label_odds)


class Manifest(_Part):
    """Content of bundle.json. Unknown keys are refused: a newer format must not be read in part."""

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
    """Accuracy per test fold, float and int8, with the protocol."""
    sha256: str
    """Hash of model.tflite, hex."""
    golden_sha256: str
    """Hash of golden.npz, hex."""
    manifest_sha256: str
    """Hash of this file's content without this field, hex (see `manifest_digest`)."""

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


def is_label(name: str) -> bool:
    """Return whether a label may have this name, which becomes part of an MQTT topic and a folder."""
    return bool(name) and name != UNKNOWN and not name.startswith(".") and not set(name) & set("/+#\n\0")


def manifest_digest(manifest: dict[str, Any]) -> str:
    """Compute the hex sha256 of a manifest's content: JSON with sorted keys, without `manifest_sha256`."""
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
