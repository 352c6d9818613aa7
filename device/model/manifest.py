"""Manifest of a bundle: bundle.json of format 2 as frozen models, and its digest.

Format 1, with one network, is read into the same models (device/model/manifest_v1.py).
"""

import hashlib
import json
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from device.model.manifest_network import Model, NetworkManifest
from device.types import UNKNOWN

FORMAT_VERSION = 2
"""Newest format. The one before is read as well."""
MANIFEST, GOLDEN, CARD = "bundle.json", "golden.npz", "MODEL_CARD.md"

Probability = Annotated[float, Field(ge=0, le=1)]
NetworkName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Weight = Annotated[float, Field(gt=0, le=100)]


class Threshold(Model):
    """Threshold of a label, with the false alarms measured at it."""

    threshold: Probability
    """Confidence from which the label becomes an event."""
    false_alarms_per_hour: Annotated[float, Field(ge=0)]
    """False alarms of this label an hour, on ambience without any of the labels, at this threshold."""
    live_odds: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    """Factor on `Unknown.live_odds` where this label is the likeliest. Ambience resembles some labels more than
    others."""


class Unknown(Model):
    """Rule for `unknown`: its output, the least confidence of a label, and the prior odds of live sound."""

    output: bool
    """True if each head has one more output, after those of the labels, for `unknown`."""
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


class ClipScoring(Model):
    """Scoring of the windows of a clip with several networks."""

    weights: dict[NetworkName, Weight]
    """Weight of each network's log-probabilities."""
    ask_below: Probability | None
    """The other networks are asked if the first one's highest probability is below it; None: always."""


class LiveScoring(Model):
    """Scoring of the windows of live sound with several networks."""

    weights: dict[NetworkName, Weight]
    """Weight of each network's log-probabilities."""
    ask_above: Probability | None
    """The other networks are asked if the first one's probabilities of the labels sum to at least this; None: always.
    """


class Scoring(Model):
    """Combination of the networks' scores. With one network, its scores count."""

    order: Annotated[tuple[NetworkName, ...], Field(min_length=1)]
    """Networks; the first one scores every window."""
    clip: ClipScoring
    live: LiveScoring


class BundleDescription(Model):
    """Keys that all formats of bundle.json share. Unknown keys are refused: a newer format must not be read in part."""

    format_version: Literal[1, 2]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    version: Annotated[str, Field(min_length=1)]
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    thresholds: dict[str, Threshold]
    unknown: Unknown
    training: dict[str, Any]
    """Data, folds, clips, seed and the command that made the bundle."""
    accuracy: dict[str, Any]
    """Accuracy per test fold, float and as shipped, with the protocol."""
    golden_sha256: str
    """Hash of golden.npz, hex."""
    manifest_sha256: str
    """Hash of this file's content without this field, hex (see `manifest_digest`)."""

    @model_validator(mode="after")
    def _describes_labels(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels holds a label twice")
        for label in self.labels:
            if not is_label(label):
                raise ValueError(f"label {label!r} cannot name an MQTT topic and a folder")
        if set(self.thresholds) != set(self.labels):
            raise ValueError("thresholds must name each label once")
        return self


class Manifest(BundleDescription):
    """Content of bundle.json, in the shape of format 2. `format_version` is that of the files on disk."""

    networks: Annotated[dict[NetworkName, NetworkManifest], Field(min_length=1)]
    """Networks by name."""
    scoring: Scoring

    @model_validator(mode="after")
    def _scores_each_network(self) -> Self:
        names, order = set(self.networks), self.scoring.order
        if set(order) != names or len(order) != len(names):
            raise ValueError(f"scoring.order must name each of the networks once: {', '.join(sorted(names))}")
        for rule, weights in (("clip", self.scoring.clip.weights), ("live", self.scoring.live.weights)):
            if set(weights) != names:
                raise ValueError(f"scoring.{rule}.weights must name each of the networks: {', '.join(sorted(names))}")
        return self

    @model_validator(mode="after")
    def _networks_agree(self) -> Self:
        head_length = len(self.labels) + self.unknown.output
        for name, network in self.networks.items():
            for head in network.temperature:
                if network.outputs[head] != head_length:
                    raise ValueError(
                        f"networks.{name}.outputs.{head} is {network.outputs[head]}, must be {head_length}: one for "
                        "each label, and one more if unknown.output is true"
                    )
            if network.classes is not None and name != self.scoring.order[0]:
                raise ValueError(f"networks.{name} has AudioSet's classes, so it must be first in scoring.order")
        windows = {(network.features.sample_rate, network.features.window_length) for network in self.networks.values()}
        if len(windows) > 1:
            raise ValueError("networks have features of different sample_rate or window_seconds")
        return self

    @model_validator(mode="after")
    def _files_differ(self) -> Self:
        files = [MANIFEST, GOLDEN, CARD, *(network.file for network in self.networks.values())]
        for file in files:
            if files.count(file) > 1:
                raise ValueError(f"networks name the file {file}, which is another file of the bundle")
        return self

    @property
    def first(self) -> NetworkManifest:
        """Network that scores every window."""
        return self.networks[self.scoring.order[0]]


def is_label(name: str) -> bool:
    """Return whether a label may have this name, which becomes part of an MQTT topic and a folder."""
    return bool(name) and name != UNKNOWN and not name.startswith(".") and not set(name) & set("/+#\n\0")


def manifest_digest(manifest: dict[str, Any]) -> str:
    """Compute the hex sha256 of a manifest's content: JSON with sorted keys, without `manifest_sha256`."""
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
