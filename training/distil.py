"""Distillation: the backbone learns to hear from a teacher, on sounds that nobody labelled.

UrbanSound8K's clips come from a few hundred recordings: too few to teach a network what sounds are. A teacher that
has heard more says of any window what it hears, and the backbone learns to say the same, from the spectrogram that
the device computes (features as targets: Romero et al., "FitNets", ICLR 2015). The head is fitted afterwards, on
clips with labels. No clip of UrbanSound8K is used here, so its folds can judge what comes out.

The stem (up to Inception V3's second pooling) keeps ImageNet's weights: edges need no relearning, it is a third of
the work, and what it makes of each window is computed once.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.features import FeatureConfig, log_mel
from training.cache import Arrays, Cache, file_digest, progress
from training.cores import on_all_cores
from training.mixtures import MixtureConfig, Mixtures
from training.model import BATCH, BackboneConfig, build_backbone, load_colour, save_weights, tensorflow
from training.spectrograms import dequantize, quantize
from training.teacher import EMBEDDING, Teacher

_CHUNK = 500
"""Windows that are drawn, heard by the teacher and kept on disk at a time."""
_SPREAD = 0.02
"""Least standard deviation of an embedding's number, so that one that is nearly always 0 is not blown up."""
_LIMIT = 6.0
"""Standard deviations beyond which a target is clipped."""


@dataclass(frozen=True)
class DistilConfig:
    """How long and how fast."""

    features: FeatureConfig = field(default_factory=FeatureConfig)
    mixtures: MixtureConfig = field(default_factory=MixtureConfig)
    last_layer: str = "mixed6"
    """The backbone is taught up to here."""
    windows: int = 30000
    """How many are drawn. Each takes 100 kB of memory."""
    passes: int = 3
    """How often each is seen."""
    rate: float = 6e-4
    """Of AdamW, reached after `warm_up` and brought to 0 by a cosine (Loshchilov and Hutter, ICLR 2017)."""
    warm_up: int = 150
    """Batches."""
    weight_decay: float = 1e-4
    precision: str | None = None
    """Keras's policy for what is taught; None takes `mixed_bfloat16` where it is fast."""
    seed: int = 0


@dataclass(frozen=True)
class Lesson:
    """What the teacher said of windows.

    Attributes:
        windows: shape (n, mel_bands, frames), int8, 127 times the log-mels.
        embeddings: shape (n, 1024), float16.
    """

    windows: NDArray[np.int8]
    embeddings: NDArray[np.float16]

    def targets(self) -> NDArray[np.float32]:
        """Embeddings, each number standardised over the windows and clipped, shape (n, 1024), float32."""
        embeddings = self.embeddings.astype(np.float32)
        deviation = embeddings.std(axis=0) + np.float32(_SPREAD)
        clipped: NDArray[np.float32] = np.clip((embeddings - embeddings.mean(axis=0)) / deviation, -_LIMIT, _LIMIT)
        return clipped


def prepare_lesson(folders: Sequence[Path], teacher: Path, config: DistilConfig, cache: Cache) -> Lesson:
    """Draw windows and let the teacher hear them; what was done before an interruption is not done again.

    Args:
        folders: unlabelled sounds.
        teacher: yamnet.tflite.
        config: features, mixtures, number of windows, seed.
        cache: keeps the chunks.

    Raises:
        InputError: a folder or the teacher is unreadable.
    """
    mixtures = Mixtures(folders, config.features.sample_rate, config.mixtures)
    key = {
        "folders": [str(folder) for folder in folders],
        "teacher": file_digest(teacher),
        "features": asdict(config.features),
        "mixtures": asdict(config.mixtures),
        "seed": config.seed,
    }

    def size(number: int) -> int:
        return min(_CHUNK, config.windows - number * _CHUNK)

    def chunk(heard_by: Teacher, number: int) -> Arrays:
        def compute() -> Arrays:
            rng = np.random.default_rng((config.seed, number))
            samples = [mixtures.draw(config.features.window_length, rng) for _ in range(size(number))]
            return {
                "windows": np.stack([quantize(log_mel(each, config.features)) for each in samples]),
                "embeddings": np.stack([heard_by(each)[:EMBEDDING] for each in samples]).astype(np.float16),
            }

        return cache.arrays("lesson", {**key, "chunk": number, "windows": size(number)}, compute)

    count = math.ceil(config.windows / _CHUNK)
    heard = on_all_cores(lambda: Teacher(teacher), chunk, range(count))
    chunks = list(progress(heard, count, f"windows for the teacher, {_CHUNK} each"))
    return Lesson(
        np.concatenate([each["windows"] for each in chunks]),
        np.concatenate([each["embeddings"] for each in chunks]),
    )


def distil(lesson: Lesson, weights: str, config: DistilConfig, output: Path) -> Path:
    """Teach Inception V3 and write its weights, which `--weights` takes.

    A run that was killed goes on after its last checkpoint; curves for TensorBoard lie in OUTPUT/summaries.

    Args:
        lesson: windows and what the teacher said of them.
        weights: to start from, as `BackboneConfig.weights`.
        config: how.
        output: folder.

    Returns:
        The weights file, up to `last_layer`.
    """
    keras = tensorflow().keras
    keras.utils.set_random_seed(config.seed)
    shape = (lesson.windows.shape[1], lesson.windows.shape[2])
    backbone = BackboneConfig(weights, (config.last_layer,))
    grey = build_backbone(backbone, shape, config.seed)
    seen = _look(keras.Model(grey.input, _stem_end(grey)), lesson.windows)
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_global_policy(config.precision or _precision())
    try:
        pupil = load_colour(backbone, shape)
        _fit(_with_embedding(pupil, config.last_layer), seen, lesson.targets(), config, output)
    finally:
        keras.mixed_precision.set_global_policy(before)
    path = output / "backbone.npz"
    save_weights(pupil, config.last_layer, path)
    return path


def _precision() -> str:
    """Keras's policy: bfloat16 takes half the time where GPU or CPU compute in it, elsewhere ten times as long."""
    config = tensorflow().config
    cpu = Path("/proc/cpuinfo")
    if gpus := config.list_physical_devices("GPU"):
        fast = config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0)) >= (8, 0)
    else:
        fast = cpu.exists() and "bf16" in cpu.read_text(encoding="utf-8")  # avx512_bf16, amx_bf16; bf16 on ARM
    return "mixed_bfloat16" if fast else "float32"


def _stem_end(backbone: Any) -> Any:
    """Output of the second pooling, which ends the stem (Szegedy et al., CVPR 2016, table 1)."""
    pooling = tensorflow().keras.layers.MaxPooling2D
    return [layer for layer in backbone.layers if isinstance(layer, pooling)][1].output


def _look(stem: Any, windows: NDArray[np.int8]) -> NDArray[np.float16]:
    """What the stem makes of windows, float16: computed once, seen in every pass."""
    run = tensorflow().function(stem, reduce_retracing=True)
    seen = np.empty((len(windows), *stem.output_shape[1:]), np.float16)
    batches = [slice(start, start + BATCH) for start in range(0, len(windows), BATCH)]
    for rows in progress(batches, len(batches), "stem"):
        seen[rows] = run(dequantize(windows[rows])[..., np.newaxis]).numpy()
    return seen


def _with_embedding(pupil: Any, last_layer: str) -> Any:
    """Keras model: what the stem saw -> the teacher's embedding, from mean and maximum over the window."""
    layers = tensorflow().keras.layers
    above = tensorflow().keras.Model(_stem_end(pupil), pupil.get_layer(last_layer).output)
    seen = layers.Input(above.input_shape[1:])
    sight = above(seen)
    pooled = [layers.GlobalAveragePooling2D()(sight), layers.GlobalMaxPooling2D()(sight)]
    embedding = layers.Dense(EMBEDDING, dtype="float32")(layers.Concatenate()(pooled))
    return tensorflow().keras.Model(seen, embedding)


def _fit(
    network: Any, seen: NDArray[np.float16], targets: NDArray[np.float32], config: DistilConfig, output: Path
) -> None:
    """Teach; goes on after the checkpoint of an interrupted run."""
    keras = tensorflow().keras
    batches = math.ceil(len(seen) / BATCH)
    warm_up = min(config.warm_up, batches)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, config.passes * batches - warm_up, warmup_target=config.rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay, global_clipnorm=5.0)
    network.compile(optimizer, "mse")
    network.fit(
        _batches(seen, targets, config.seed),
        epochs=config.passes,
        callbacks=[
            keras.callbacks.BackupAndRestore(str(output / "checkpoint"), delete_checkpoint=False),
            keras.callbacks.TensorBoard(str(output / "summaries" / "distil"), write_graph=False),
        ],
    )


def _batches(seen: NDArray[np.float16], targets: NDArray[np.float32], seed: int) -> Any:
    """Batches in another order each pass, for `fit`."""

    class Batches(tensorflow().keras.utils.PyDataset):  # type: ignore[misc] # the class exists once TensorFlow is loaded
        def __init__(self) -> None:
            super().__init__()
            self._rng = np.random.default_rng(seed)
            self.on_epoch_end()

        def __len__(self) -> int:
            return math.ceil(len(seen) / BATCH)

        def __getitem__(self, number: int) -> tuple[Any, Any]:
            rows = self._order[number * BATCH : (number + 1) * BATCH]
            return seen[rows].astype(np.float32), targets[rows]

        def on_epoch_end(self) -> None:
            self._order = self._rng.permutation(len(seen))

    return Batches()
