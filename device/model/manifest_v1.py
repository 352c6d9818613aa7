"""Manifest of format 1: bundle.json with one int8 network, in `model.tflite`."""

from typing import Annotated, Literal

from pydantic import Field

from device.model.features import FeatureConfig
from device.model.manifest import BundleDescription, ClipScoring, LiveScoring, Manifest, Scoring
from device.model.manifest_network import INCEPTION, Model, NetworkManifest, Quantization, TensorQuantization

MODEL = "model.tflite"


class Calibration(Model):
    """Temperature scaling (C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017)."""

    temperature: Annotated[float, Field(gt=0)]
    """Divisor of the logits before the softmax."""


class ManifestV1(BundleDescription):
    """Content of bundle.json, format 1."""

    format_version: Literal[1]
    features: FeatureConfig
    input: Quantization
    output: Quantization
    calibration: Calibration
    sha256: str
    """Hash of model.tflite, hex."""

    def upgraded(self) -> Manifest:
        """Return the same content in the shape of format 2: a bundle with the network `inception` alone."""
        network = NetworkManifest(
            file=MODEL,
            sha256=self.sha256,
            features=self.features,
            quantization=TensorQuantization(input=self.input, output=self.output),
            outputs={"clip": len(self.labels) + self.unknown.output},
            temperature={"clip": self.calibration.temperature},
            classes=None,
        )
        weights = {INCEPTION: 1.0}
        shared = {name: getattr(self, name) for name in BundleDescription.model_fields}
        return Manifest(
            **shared,
            networks={INCEPTION: network},
            scoring=Scoring(
                order=(INCEPTION,),
                clip=ClipScoring(weights=weights, ask_below=None),
                live=LiveScoring(weights=weights, ask_above=None),
            ),
        )
