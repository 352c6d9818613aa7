"""What one backbone makes of a dataset's windows: features, and how int8 rounds them. Kept in the cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.array_cache import Arrays, Cache
from training.data.spectrograms import Spectrograms, draw_windows
from training.models.backbone import BackboneConfig, build_backbone
from training.models.head import extract_features
from training.quantization.feature_noise import quantization_errors

EXPORT_WINDOWS = 800
"""Training windows that export calibrates with and compares on, and windows that show how int8 rounds."""


@dataclass(frozen=True)
class QuantizationNoise:
    """What int8 adds to the features of some windows.

    Attributes:
        errors: shape (n, features), float32 (see `training.quantization.feature_noise`).
        clip: shape (n,), int32, each window's clip.
    """

    errors: NDArray[np.float32]
    clip: NDArray[np.int32]


@dataclass(frozen=True)
class Examples:
    """Features of windows, shape (n, features), and where they come from (see Spectrograms); and how int8 rounds."""

    features: NDArray[np.float16]
    clip: NDArray[np.int32]
    copy: NDArray[np.int32]
    noise: QuantizationNoise


class BackboneFeatures:
    """One backbone's features of a dataset.

    Args:
        backbone: which; its weights are a file, not a folder.
        parts: windows of the clips as they are, and of their copies.
        seed: of the draw of windows.
        cache: where all is kept.
    """

    def __init__(self, backbone: BackboneConfig, parts: Sequence[Spectrograms], seed: int, cache: Cache) -> None:
        self.backbone = backbone
        self._parts = parts
        self._seed = seed
        self._cache = cache

    @cached_property
    def key(self) -> dict[str, object]:
        """What the examples depend on.

        Raises:
            InputError: the weights are unreadable.
        """
        windows = [dict(part.key) for part in self._parts]
        return {**self._key_of(windows), "seed": self._seed, "count": EXPORT_WINDOWS}

    @cached_property
    def examples(self) -> Examples:
        """Features of all windows and copies, and how int8 rounds them.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        count = len(self._parts)
        found = [self.features(part, f"features {number} of {count}") for number, part in enumerate(self._parts, 1)]
        features = np.concatenate(found)
        clip = np.concatenate([part.clip for part in self._parts])
        copy = np.concatenate([part.copy for part in self._parts])
        return Examples(features, clip, copy, self._noise(features, clip))

    def features(self, windows: Spectrograms, description: str) -> NDArray[np.float16]:
        """Features of windows, shape (n, features), from the cache if they are there.

        Args:
            windows: whose key names them.
            description: for the progress line.
        """
        found: NDArray[np.float16] = self._cache.arrays(
            "features",
            self._key_of(dict(windows.key)),
            lambda: {"features": extract_features(self._network, windows, description)},
        )["features"]
        return found

    @cached_property
    def _network(self) -> Any:
        return self._build()

    def _noise(self, features: NDArray[np.float16], clip: NDArray[np.int32]) -> QuantizationNoise:
        """What int8 adds to the features of some windows.

        Windows of every fold show its ranges and the errors' mean. A head gets errors of its own training folds.
        """

        def compute() -> Arrays:
            every_clip = np.ones(clip.max() + 1, bool)
            drawn = draw_windows(self._parts, every_clip, EXPORT_WINDOWS, self._seed)
            errors = quantization_errors(self._build(), drawn.log_mels, features[drawn.rows])
            return {"errors": errors, "clip": clip[drawn.rows]}

        return QuantizationNoise(**self._cache.arrays("rounding", self.key, compute))

    def _key_of(self, windows: object) -> dict[str, object]:
        return {"windows": windows, "backbone": self.backbone.key()}

    def _build(self) -> Any:
        _, mel_bands, frames = self._parts[0].quantized.shape
        return build_backbone(self.backbone, (mel_bands, frames))
