"""Embedder: the AudioSet network's embedding of windows, and the test whether two networks have the same one."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from device.errors import ConfigError
from device.model.bundle import Bundle
from device.model.classifier import BaseNetwork, Network, sigmoid
from device.model.clip_scoring import clip_windows
from device.model.manifest_network import Part
from device.model.scoring import likeliest_classes
from device.model.self_test import EMBEDDING_TOLERANCE
from device.teaching.clip_windows import NOISE_EXPONENTS, noise_window, teaching_windows
from device.types import Samples

Embeddings = NDArray[np.float16]
"""Shape (windows, length of the embedding), float16."""


class Embedder:
    """Embedding of a bundle's AudioSet network. Used from one thread.

    Args:
        bundle: as loaded.
        network: the network, if it is loaded already.

    Attributes:
        sha256: hash of the network's file.

    Raises:
        ConfigError: the bundle has no AudioSet network.
    """

    def __init__(self, bundle: Bundle, network: BaseNetwork | None = None) -> None:
        name, manifest = bundle.manifest.scoring.order[0], bundle.manifest.first
        if "embedding" not in manifest.outputs or manifest.classes is None:
            raise ConfigError(
                f"the bundle {bundle} has no AudioSet network, so it cannot be taught. Set model.bundle to "
                "models/urbansound8k or models/urbansound8k-light, or train with --audioset-weights"
            )
        self._bundle, self._name, self._given = bundle, name, network
        self.sha256 = manifest.sha256
        self.sample_rate, self.window_length = bundle.sample_rate, bundle.window_length

    @cached_property
    def _network(self) -> BaseNetwork:
        """Network, loaded when it is first needed."""
        manifest = self._bundle.manifest.networks[self._name]
        return self._given or Network(self._bundle.model_path(self._name), manifest)

    def embed(self, windows: NDArray[np.int16]) -> Embeddings:
        """Compute the embeddings of windows, shape (n, window_length), int16."""
        return self._parts(windows, "embedding").astype(np.float16)

    def embed_clip(self, samples: Samples) -> Embeddings:
        """Compute the embeddings of a clip's windows (see `teaching_windows`)."""
        return self.embed(teaching_windows(samples, self.window_length, self.sample_rate))

    def likeliest_class(self, clips: Sequence[Samples]) -> tuple[str, float]:
        """Return the likeliest AudioSet class of clips, and its mean probability."""
        windows = np.concatenate([clip_windows(samples, self.window_length) for samples in clips])
        logits = self._parts(windows, "audioset")
        return likeliest_classes(self._bundle.audioset_classes, sigmoid(logits).mean(axis=0), 1)[0]

    def _parts(self, windows: NDArray[np.int16], name: Part) -> NDArray[np.float32]:
        """Return one part of the network's output for each window, shape (n, length of the part)."""
        outputs = [self._network.outputs(self._network.log_mel(window)) for window in windows]
        return np.stack([self._network.part(each, name) for each in outputs])

    @cached_property
    def probe(self) -> Embeddings:
        """Embeddings of synthesised noises: they identify the embedding, whatever the heads on it."""
        random = np.random.default_rng(0)
        return self.embed(
            np.stack([noise_window(self.window_length, exponent, random) for exponent in NOISE_EXPONENTS])
        )

    def agrees(self, probe: Embeddings) -> bool:
        """Return whether a probe, as another network computed it, is the same up to rounding."""
        if probe.shape != self.probe.shape:
            return False
        difference = np.abs(self.probe.astype(np.float32) - probe.astype(np.float32)).max()
        return bool(difference <= EMBEDDING_TOLERANCE * np.abs(self.probe).max())
