"""Taught sounds: detectors that the user taught on the device, on the AudioSet network's embedding."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.model.classifier import sigmoid

TAUGHT_FILE = "taught.npz"
"""Name of the file of taught sounds in the state directory (device/teaching/taught_file.py)."""
TAUGHT_THRESHOLD = 0.5
"""Confidence from which a taught label becomes an event. Its negatives chose the score with this probability."""


@dataclass(frozen=True)
class Detector:
    """Detector of one sound: probability = sigmoid(sphere(embedding, mean, scale) @ weights + bias).

    Attributes:
        mean: shape (length of the embedding,), float32.
        scale: the same, above 0.
        weights: the same.
        bias: logit.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: float

    def probabilities(self, embeddings: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Compute the probability of the sound in windows, shape (n,), from embeddings, shape (n, length)."""
        rows = sphere(embeddings, self.mean, self.scale)
        return sigmoid(np.asarray(rows @ self.weights + np.float32(self.bias), np.float32))


@dataclass(frozen=True)
class TaughtSounds:
    """All detectors that the user taught, for one network.

    Attributes:
        labels: detector of each taught label.
        exclusions: by slug of a label or AudioSet class, the detector of the sounds that must not become its event.
        faults: taught labels that cannot be used, and why: one sentence each, with the cure.
    """

    labels: dict[str, Detector]
    exclusions: dict[str, Detector]
    faults: tuple[str, ...] = ()

    def probabilities(
        self, embeddings: Collection[NDArray[np.float32] | None], weights: Collection[float] | None = None
    ) -> dict[str, float]:
        """Return the mean probability of each taught label over windows, rounded to four digits.

        Labels compete: no other label gets more than what the likeliest one leaves to 1.

        Args:
            embeddings: of each window; None without the AudioSet network, which only a bundle without taught labels
                lacks.
            weights: of each window; None for equal ones.
        """
        means = {label: _mean(detector, embeddings, weights) for label, detector in self.labels.items()}
        likeliest = max(means, key=lambda label: means[label], default="")
        return {
            label: p if label == likeliest else min(p, round(1.0 - means[likeliest], 4)) for label, p in means.items()
        }

    def excluded(
        self,
        slugs: Iterable[str],
        embeddings: Collection[NDArray[np.float32] | None],
        weights: Collection[float] | None = None,
    ) -> set[str]:
        """Return the slugs among `slugs` whose sounds are excluded in these windows."""
        return {
            slug
            for slug in slugs
            if slug in self.exclusions and _mean(self.exclusions[slug], embeddings, weights) >= TAUGHT_THRESHOLD
        }


def sphere(
    embeddings: NDArray[np.floating[Any]], mean: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Standardize embeddings, shape (n, length), and scale each to the length sqrt(length), float32."""
    standardized = (embeddings - mean) / scale
    norm = np.linalg.norm(standardized, axis=1, keepdims=True)
    return np.asarray(standardized * (math.sqrt(embeddings.shape[1]) / np.maximum(norm, 1e-6)), np.float32)


NOTHING_TAUGHT = TaughtSounds({}, {})


def _mean(
    detector: Detector, embeddings: Collection[NDArray[np.float32] | None], weights: Collection[float] | None = None
) -> float:
    """Return the mean probability over windows: no odd window reaches or cancels a threshold alone."""
    rows = np.stack([embedding for embedding in embeddings if embedding is not None])
    return round(float(np.average(detector.probabilities(rows), weights=weights)), 4)
