"""Cached backbone features of a dataset's windows, and their int8 quantization error."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from device.errors import InputError
from training.data.array_cache import Arrays, Cache, digest
from training.data.parallel import keep_latest
from training.data.spectrograms import SpectrogramMaker, Spectrograms, draw_windows
from training.data.windows import SampleWindows
from training.models.backbone import BackboneConfig, build_backbone
from training.models.head import BatchFeatures, extract_features
from training.quantization.feature_noise import quantization_errors

EXPORT_WINDOWS = 800
"""Training windows for export, to calibrate and to compare with; also for the quantization error of features."""


@dataclass(frozen=True)
class QuantizationNoise:
    """Quantization error of the features of some windows.

    Attributes:
        errors: shape (n, features), float32 (see `training.quantization.feature_noise`).
        clip: shape (n,), int32, number of each window's clip.
    """

    errors: NDArray[np.float32]
    clip: NDArray[np.int32]


@dataclass(frozen=True)
class Examples:
    """Features of windows, shape (n, features), with their clips and copies (see `Spectrograms`), and their noise."""

    features: NDArray[np.float16]
    clip: NDArray[np.int32]
    copy: NDArray[np.int32]
    noise: QuantizationNoise


class BackboneFeatures:
    """Features of a dataset's windows by one backbone.

    Args:
        backbone: backbone with weights in a file, not in a folder.
        parts: windows of the original clips, and of their copies.
        maker: computes the spectrograms of other windows.
        seed: seed of the draw of windows.
        cache: stores features and quantization errors.
    """

    def __init__(
        self,
        backbone: BackboneConfig,
        parts: Sequence[Spectrograms],
        maker: SpectrogramMaker,
        seed: int,
        cache: Cache,
    ) -> None:
        self.backbone = backbone
        self._parts = parts
        self._maker = maker
        self._seed = seed
        self._cache = cache

    @cached_property
    def key(self) -> dict[str, object]:
        """Everything that the examples depend on.

        Raises:
            InputError: the weights are unreadable.
        """
        windows = [dict(part.key) for part in self._parts]
        return {**self._key_of(windows), "seed": self._seed, "count": EXPORT_WINDOWS}

    @cached_property
    def examples(self) -> Examples:
        """Features of all windows and copies, and their quantization error.

        Raises:
            InputError: a clip or the weights are unreadable.
        """
        count = len(self._parts)
        parts = [self.features(part, f"features {number} of {count}") for number, part in enumerate(self._parts, 1)]
        features = np.concatenate(parts)
        clip = np.concatenate([part.clip for part in self._parts])
        copy = np.concatenate([part.copy for part in self._parts])
        return Examples(features, clip, copy, self._noise(features, clip))

    def window_features(self, windows: SampleWindows, rows: NDArray[np.intp], description: str) -> NDArray[np.float16]:
        """Return the features of some rows of other windows, shape (rows, features), computed or from the cache."""
        return self.features(self._maker.of_samples(windows, rows), description)

    def features(self, windows: Spectrograms, description: str) -> NDArray[np.float16]:
        """Return features of windows, shape (n, features), computed or from the cache.

        Args:
            windows: windows with a key.
            description: text of the progress bar.
        """
        make = partial(_load_backbone, self.backbone, digest(self._content), self._shape)
        features: NDArray[np.float16] = self._cache.arrays(
            "features",
            self._key_of(dict(windows.key)),
            lambda: {"features": extract_features(make, windows, self._maker.cutter.workers, description)},
        )["features"]
        return features

    def _noise(self, features: NDArray[np.float16], clip: NDArray[np.int32]) -> QuantizationNoise:
        """Return the quantization error of the features of some windows.

        The ranges and the mean of the errors come from windows of all folds. A head is fitted with the errors of its
        training folds only.
        """

        def compute() -> Arrays:
            every_clip = np.ones(clip.max() + 1, bool)
            drawn = draw_windows(self._parts, every_clip, EXPORT_WINDOWS, self._seed)
            errors = quantization_errors(
                build_backbone(self.backbone, self._shape), drawn.log_mels, features[drawn.rows]
            )
            return {"errors": errors, "clip": clip[drawn.rows]}

        return QuantizationNoise(**self._cache.arrays("rounding", self.key, compute))

    @cached_property
    def _content(self) -> dict[str, object]:
        """Content of the backbone. Its file of weights is read for it, once."""
        return self.backbone.key()

    def _key_of(self, windows: object) -> dict[str, object]:
        return {"windows": windows, "backbone": self._content}

    @property
    def _shape(self) -> tuple[int, int]:
        _, mel_bands, frames = self._parts[0].quantized.shape
        return mel_bands, frames


@keep_latest
def _load_backbone(backbone: BackboneConfig, content: str, shape: tuple[int, int]) -> BatchFeatures:
    """Build a backbone's function; `content` is the digest of its key, for a worker of another machine."""
    if digest(backbone.key()) != content:
        raise InputError(f"{backbone.weights}: other weights than on the machine that trains. Share one folder")
    return BatchFeatures(build_backbone(backbone, shape))
