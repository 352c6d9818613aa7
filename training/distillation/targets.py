"""Targets of distillation: the teacher's embeddings of windows (see `train_backbone`)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.model.features import FeatureConfig, log_mel
from device.types import Samples
from training.data.array_cache import Arrays, Cache, file_digest
from training.data.dataset import sound_files
from training.data.mixing import MixtureConfig, Mixtures, normalize_peak
from training.data.parallel import parallel_map
from training.data.progress import progress
from training.data.spectrograms import SpectrogramMaker, quantize
from training.distillation.yamnet import EMBEDDING, Teacher

_CHUNK = 500
"""Windows that are drawn, embedded and stored at a time."""
_SPREAD = 0.02
"""Added to the standard deviation of each dimension, so that one that is nearly always 0 is not amplified."""
_LIMIT = 6.0
"""Standard deviations beyond which a target is clipped."""


@dataclass(frozen=True)
class MixtureWindowsConfig:
    """Configuration of the windows that are drawn from unlabelled sounds."""

    features: FeatureConfig = field(default_factory=FeatureConfig)
    mixtures: MixtureConfig = field(default_factory=MixtureConfig)
    windows: int = 30000
    """Number of windows. Each takes 100 kB of memory."""
    seed: int = 0


REHEARSAL = MixtureWindowsConfig(windows=10000)
"""Mixtures beside the dataset's own clips, so that the backbone does not forget them."""


@dataclass(frozen=True)
class DistillationTargets:
    """Windows and the teacher's embeddings of them.

    Attributes:
        windows: shape (n, mel_bands, frames), int8, 127 times the log-mels.
        embeddings: shape (n, 1024), float16.
    """

    windows: NDArray[np.int8]
    embeddings: NDArray[np.float16]

    def standardized(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return embeddings of some windows, standardized per dimension and clipped, shape (rows, 1024), float32."""
        embeddings = self.embeddings[rows].astype(np.float32)
        deviation = embeddings.std(axis=0) + np.float32(_SPREAD)
        clipped: NDArray[np.float32] = np.clip((embeddings - embeddings.mean(axis=0)) / deviation, -_LIMIT, _LIMIT)
        return clipped

    def __len__(self) -> int:
        return len(self.windows)

    def __add__(self, other: "DistillationTargets") -> "DistillationTargets":
        """Concatenate the windows of both."""
        windows = np.concatenate([self.windows, other.windows])
        return DistillationTargets(windows, np.concatenate([self.embeddings, other.embeddings]))


def embed_mixtures(
    folders: Sequence[Path], teacher: Path, config: MixtureWindowsConfig, cache: Cache
) -> DistillationTargets:
    """Draw windows of mixed sounds and compute the teacher's embeddings; an interrupted run continues.

    Args:
        folders: unlabelled sounds.
        teacher: yamnet.tflite.
        config: features, mixtures, number of windows, seed.
        cache: stores the chunks.

    Raises:
        InputError: a folder or the teacher is unreadable.
    """
    mixtures = Mixtures(folders, config.features.sample_rate, config.mixtures)
    key = {
        "sounds": [list(map(file_digest, sound_files(folder))) for folder in folders],
        "teacher": file_digest(teacher),
        "features": asdict(config.features),
        "mixtures": asdict(config.mixtures),
        "seed": config.seed,
    }

    def size(number: int) -> int:
        return min(_CHUNK, config.windows - number * _CHUNK)

    def chunk(teacher_model: Teacher, number: int) -> Arrays:
        def compute() -> Arrays:
            rng = np.random.default_rng((config.seed, number))
            samples = [mixtures.draw(config.features.window_length, rng) for _ in range(size(number))]
            return {
                "windows": np.stack([quantize(log_mel(each, config.features)) for each in samples]),
                "embeddings": _embeddings(teacher_model, samples),
            }

        return cache.arrays("lesson", {**key, "chunk": number, "windows": size(number)}, compute)

    count = math.ceil(config.windows / _CHUNK)
    results = parallel_map(lambda: Teacher(teacher), chunk, range(count))
    chunks = list(progress(results, count, f"embeddings of mixtures, {_CHUNK} windows each"))
    return DistillationTargets(
        np.concatenate([each["windows"] for each in chunks]),
        np.concatenate([each["embeddings"] for each in chunks]),
    )


def embed_clips(maker: SpectrogramMaker, teacher: Path, cache: Cache) -> DistillationTargets:
    """Compute the teacher's embeddings of a dataset's clips and copies, in the order of `maker.all()`.

    Args:
        maker: computes the windows.
        teacher: yamnet.tflite.
        cache: stores the embeddings of each copy.

    Raises:
        InputError: a clip or the teacher is unreadable.
    """
    parts = maker.all()
    key = {"teacher": file_digest(teacher)}

    def part(teacher_model: Teacher, copy: int) -> NDArray[np.float16]:
        def compute() -> Arrays:
            return {"embeddings": _embeddings(teacher_model, map(normalize_peak, maker.cutter.samples(copy)))}

        return cache.arrays("heard", {**key, "windows": dict(parts[copy].key)}, compute)["embeddings"]

    results = parallel_map(lambda: Teacher(teacher), part, range(len(parts)))
    embeddings = list(progress(results, len(parts), "embeddings of clips and copies"))
    return DistillationTargets(np.concatenate([each.quantized for each in parts]), np.concatenate(embeddings))


def _embeddings(teacher_model: Teacher, windows: Iterable[Samples]) -> NDArray[np.float16]:
    """Return the teacher's embeddings of windows, shape (n, 1024)."""
    embeddings: NDArray[np.float16] = np.stack([teacher_model(window)[:EMBEDDING] for window in windows]).astype(
        np.float16
    )
    return embeddings
