"""Networks of a bundle's manifest: file, features, quantization and the parts of the output tensor."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from device.model.audioset_features import AudioSetFeatureConfig, audioset_log_mel
from device.model.features import FeatureConfig, log_mel
from device.types import LogMel, Samples
from device.util.text import one_line, quoted

AUDIOSET, INCEPTION = "audioset", "inception"
"""Names of the two networks that `earshot-train` makes."""
AUDIOSET_CLASSES = 527
"""Number of AudioSet's classes (J. Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio
events", ICASSP 2017)."""

Head = Literal["clip", "live"]
"""Head of a network: for clips, or for live sound."""
Part = Literal["clip", "live", "audioset", "embedding"]
"""Part of a network's output tensor. The parts follow one another in this order."""
PARTS: tuple[Part, ...] = ("clip", "live", "audioset", "embedding")


class Model(BaseModel):
    """Base class of the parts of a manifest: frozen, strict, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Quantization(Model):
    """Affine quantization: real = scale * (int8 - zero_point).

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", CVPR 2018.
    """

    scale: Annotated[float, Field(gt=0)]
    zero_point: Annotated[int, Field(ge=-128, le=127)]


class TensorQuantization(Model):
    """Quantization of an int8 network's input and output."""

    input: Quantization
    output: Quantization


class _LogMelFeatures(Model):
    features: FeatureConfig


class _AudioSetFeatures(Model):
    features: AudioSetFeatureConfig


_KINDS: dict[str, type[_LogMelFeatures | _AudioSetFeatures]] = {
    "log_mel": _LogMelFeatures,
    "audioset": _AudioSetFeatures,
}


def _read_features(value: object) -> object:
    """Make the features that a JSON object with `kind` describes.

    Raises:
        ValueError: the kind is unknown, or a field is.
    """
    if not isinstance(value, dict):
        return value
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"kind is {quoted(str(kind))}, must be one of {', '.join(_KINDS)}")
    fields = {name: field for name, field in value.items() if name != "kind"}
    try:
        # From JSON, where strict types accept an object as a dataclass.
        return _KINDS[kind].model_validate_json(json.dumps({"features": fields})).features
    except ValidationError as error:
        raise ValueError(validation_faults(error)) from error


def features_json(features: FeatureConfig | AudioSetFeatureConfig) -> dict[str, Any]:
    """Return features as bundle.json contains them, with their `kind`."""
    kind = "audioset" if isinstance(features, AudioSetFeatureConfig) else "log_mel"
    return {"kind": kind, **asdict(features)}


def validation_faults(error: ValidationError) -> str:
    """Describe all faults of a manifest on one line, each with its place."""
    return "; ".join(
        f"{one_line('.'.join(map(str, fault['loc']))) or 'it'}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors()
    )


Features = Annotated[
    FeatureConfig | AudioSetFeatureConfig, BeforeValidator(_read_features), PlainSerializer(features_json)
]
"""Parameters of a network's log-mel. In bundle.json, `kind` is `log_mel` or `audioset`."""


class NetworkManifest(Model):
    """One network of a bundle."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
    """Name of its TFLite file, in the bundle's folder."""
    sha256: str
    """Hash of the file, hex."""
    features: Features
    """Parameters of its log-mel."""
    quantization: TensorQuantization | None
    """int8 tensors; None for float32 tensors."""
    outputs: dict[Part, Annotated[int, Field(ge=1, le=10_000)]]
    """Length of each part of the output tensor, shape (1, sum of the lengths), in the order of `PARTS`.

    `clip` and `live` are logits of the labels, followed by the logit of `unknown` if there is one. `audioset` are
    logits of AudioSet's classes. `embedding` is the last layer before the heads.
    """
    temperature: dict[Head, Annotated[float, Field(gt=0)]]
    """Divisor of a head's logits before the softmax (C. Guo et al., "On Calibration of Modern Neural Networks", ICML
    2017)."""
    classes: tuple[str, ...] | None
    """Display names of AudioSet's classes, in the order of the outputs; None without the part `audioset`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "clip" not in self.outputs:
            raise ValueError("outputs lacks the part clip, which classifies clips")
        if list(self.outputs) != [part for part in PARTS if part in self.outputs]:
            raise ValueError(f"outputs has its parts in another order than {', '.join(PARTS)}")
        heads = [part for part in self.outputs if part in ("clip", "live")]
        if set(self.temperature) != set(heads):
            raise ValueError(f"temperature must name each head once: {', '.join(heads)}")
        if (self.classes is None) != ("audioset" not in self.outputs):
            raise ValueError("classes must name AudioSet's classes if outputs has the part audioset, else be null")
        if self.classes is not None:
            if not self.outputs["audioset"] == len(self.classes) == len(set(self.classes)) == AUDIOSET_CLASSES:
                raise ValueError(f"classes and outputs.audioset must be AudioSet's {AUDIOSET_CLASSES} classes")
            if not all(name and name.isprintable() for name in self.classes):
                raise ValueError("classes contains a name that is empty or not printable")
        return self

    @property
    def output_length(self) -> int:
        """Length of the output tensor."""
        return sum(self.outputs.values())

    def head(self, head: Head) -> Head:
        """Return the head that scores `head`: the same, or `clip` for a network without one for live sound."""
        return head if head in self.outputs else "clip"

    def part_slice(self, part: Part) -> slice:
        """Return the place of a part in the output tensor."""
        start = 0
        for name, length in self.outputs.items():
            if name == part:
                return slice(start, start + length)
            start += length
        raise KeyError(part)

    @property
    def log_mel(self) -> Callable[[Samples], LogMel]:
        """Function that computes the network's log-mel from the samples of a window."""
        features = self.features
        if isinstance(features, AudioSetFeatureConfig):
            return lambda samples: audioset_log_mel(samples, features)
        return lambda samples: log_mel(samples, features)
