"""Fakes for tests without trained networks: manifest, networks that are plain functions."""

import io

import numpy as np

from device.model.classifier import BaseNetwork
from device.model.features import log_mel
from device.model.manifest_v1 import ManifestV1
from device.types import WindowScores


def make_manifest(features, labels=("low", "high"), threshold=0.5):
    """Make a manifest of format 1."""
    return ManifestV1(
        format_version=1,
        name="fake",
        version="1",
        labels=labels,
        features=features,
        input={"scale": 2 / 255, "zero_point": 0},
        output={"scale": 0.1, "zero_point": 0},
        calibration={"temperature": 1.0},
        thresholds={label: {"threshold": threshold, "false_alarms_per_hour": 0.0} for label in labels},
        unknown={"output": False, "min_confidence": 0.0},
        training={},
        accuracy={},
        sha256="",
        golden_sha256="",
        manifest_sha256="",
    )


def score_log_mel(features, network):
    """Make a window's classifier from a plain function: log-mel -> scores."""

    def classify(samples):
        image = log_mel(samples, features)
        return WindowScores(network(image), image)

    return classify


class FakeNetwork(BaseNetwork):
    """Network whose outputs are a plain function of the log-mel; by default they are zeros."""

    def __init__(self, manifest, function=None):
        super().__init__(manifest)
        self.outputs_of = function or (lambda _: np.zeros(manifest.output_length, np.float32))
        self.calls = 0

    def outputs(self, log_mel):
        """See `BaseNetwork`."""
        self.calls += 1
        return self.outputs_of(log_mel)


def golden_file(**arrays):
    """Return the bytes of an NPZ file."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()
