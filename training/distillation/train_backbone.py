"""Distillation of a teacher's embeddings into the backbone, without labels.

UrbanSound8K's clips come from a few hundred recordings, which are too few to train a network for sounds. The teacher
was trained on many more. The backbone is trained to predict the teacher's embedding of any window from the device's
spectrogram (features as targets: Romero et al., "FitNets", ICLR 2015). The head is fitted afterwards, on labelled
clips.

`earshot-train distil` uses free sounds. They contain no clip of UrbanSound8K, so each of its folds can test the result.
`earshot-train adapt` continues with the dataset's own clips, still without labels, because free sounds differ from
street sounds. A backbone that was adapted without a fold is tested on that fold alone.

The stem (up to Inception V3's second pooling) keeps the ImageNet weights: edges need no training. It is a third of the
work, and its outputs are computed once per window.
"""

import hashlib
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.array_cache import digest
from training.data.progress import progress
from training.data.spectrograms import dequantize
from training.distillation.targets import DistillationTargets
from training.distillation.yamnet import EMBEDDING
from training.fitting.lda import solve_ridge
from training.models.backbone import BackboneConfig, build_backbone, load_rgb_backbone, save_weights
from training.models.head import Head, feature_statistics, standardize
from training.models.tf import BATCH_SIZE, import_tensorflow

DISTILLED_LAYERS = ("mixed6",)
"""Layers that predict the embedding in the first distillation: the last one alone, so that it learns most."""
_RIDGE = 0.3
"""Ridge of the initial head, as a share of the features' mean variance."""


@dataclass(frozen=True)
class DistillationConfig:
    """Duration and learning rate."""

    passes: int = 3
    """Number of passes over the windows."""
    rate: float = 6e-4
    """Learning rate of AdamW after `warm_up`, then reduced to 0 by a cosine (Loshchilov and Hutter, ICLR 2017)."""
    warm_up: int = 150
    """Batches with a rising learning rate."""
    weight_decay: float = 1e-4
    kept: float = 0.0
    """Share of the initial weights in the result, 0 to 1. An interpolation keeps most of the improvement and loses less
    of the initial abilities (M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022)."""
    precision: str | None = None
    """Keras's dtype policy for training; None for `mixed_bfloat16` where it is fast."""
    seed: int = 0


ADAPTATION = DistillationConfig(passes=2, rate=3e-4, kept=0.5)
"""Configuration for a backbone that was distilled already."""


def stem_features(backbone: BackboneConfig, windows: NDArray[np.int8]) -> NDArray[np.float16]:
    """Compute the stem's outputs of windows, 100 kB each, once for all passes and all backbones of one start.

    Args:
        backbone: backbone with the stem.
        windows: shape (n, mel_bands, frames), int8, 127 times the log-mels.

    Returns:
        Shape (n, height, width, channels), float16.
    """
    grayscale = build_backbone(backbone, (windows.shape[1], windows.shape[2]))
    stem = import_tensorflow().keras.Model(grayscale.input, _stem_end(grayscale))
    run = import_tensorflow().function(stem, reduce_retracing=True)
    stem_outputs = np.empty((len(windows), *stem.output_shape[1:]), np.float16)
    batches = [slice(start, start + BATCH_SIZE) for start in range(0, len(windows), BATCH_SIZE)]
    for rows in progress(batches, len(batches), "stem"):
        stem_outputs[rows] = run(dequantize(windows[rows])[..., np.newaxis]).numpy()
    return stem_outputs


def train_backbone(
    targets: DistillationTargets,
    stem_outputs: NDArray[np.float16],
    backbone: BackboneConfig,
    config: DistillationConfig,
    output: Path,
    name: str,
    rows: NDArray[np.intp] | None = None,
    head: Head | None = None,
) -> Path:
    """Train Inception V3 on a teacher's embeddings and write its weights, for `--weights`.

    An interrupted run on the same data continues from its last checkpoint. Curves for TensorBoard are in
    OUTPUT/summaries.

    Args:
        targets: windows and the teacher's embeddings.
        stem_outputs: outputs of `stem_features` for all these windows.
        backbone: initial backbone. The embedding is predicted from its pooled layers, and the last of them ends the
            part that is trained and written.
        config: duration and learning rate.
        output: folder for weights, checkpoint and curves.
        name: name of the weights file, without suffix.
        rows: rows of the windows to train on; None for all.
        head: initial head, features -> targets, so that the first steps keep the backbone's abilities (A. Kumar et al.,
            "Fine-tuning can distort pretrained features", ICLR 2022); None for random weights.

    Returns:
        The weights file.
    """
    keras = import_tensorflow().keras
    shape = (targets.windows.shape[1], targets.windows.shape[2])
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_global_policy(config.precision or _precision())
    try:
        student = load_rgb_backbone(backbone, shape)
        keras.utils.set_random_seed(config.seed)
        before = student.get_weights()
        rows = np.arange(len(targets)) if rows is None else rows
        batches = _batches(stem_outputs, rows, targets.standardized(rows), config.seed)
        checkpoint = output / "checkpoint" / f"{name}-{_content_digest(targets, rows, backbone, config, head)}"
        _fit(_with_embedding(student, backbone, head), batches, config, checkpoint, output / "summaries" / name)
        pairs = zip(before, student.get_weights(), strict=True)
        student.set_weights([old + (1.0 - config.kept) * (new - old) for old, new in pairs])
    finally:
        keras.mixed_precision.set_global_policy(policy)
    path = output / f"{name}.npz"
    save_weights(student, backbone.pooled[-1], path)
    return path


def initial_head(features: NDArray[np.float16], targets: NDArray[np.float32]) -> Head:
    """Fit a ridge regression (Hoerl and Kennard, Technometrics 12, 1970) from features to a teacher's embedding.

    Args:
        features: shape (n, features), of the backbone before distillation.
        targets: shape (n, 1024).
    """
    mean, scale = feature_statistics(features)
    standardized, bias = standardize(features, mean, scale), targets.mean(axis=0)
    ridge = _RIDGE * float(np.square(standardized).sum()) / features.shape[1]
    weights = solve_ridge(standardized, (targets - bias).T @ standardized, 1.0, ridge)
    return Head(mean, scale, weights.astype(np.float32), bias)


def _precision() -> str:
    """Return Keras's dtype policy: bfloat16 halves the time on a GPU or CPU that supports it.

    Elsewhere it takes ten times as long.
    """
    config = import_tensorflow().config
    cpu = Path("/proc/cpuinfo")
    if gpus := config.list_physical_devices("GPU"):
        fast = config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0)) >= (8, 0)
    else:
        fast = cpu.exists() and "bf16" in cpu.read_text(encoding="utf-8")  # avx512_bf16, amx_bf16; bf16 on ARM
    return "mixed_bfloat16" if fast else "float32"


def _stem_end(backbone: Any) -> Any:
    """Return the output of the second pooling, the end of the stem (Szegedy et al., CVPR 2016, table 1)."""
    pooling = import_tensorflow().keras.layers.MaxPooling2D
    return [layer for layer in backbone.layers if isinstance(layer, pooling)][1].output


def _with_embedding(student: Any, backbone: BackboneConfig, head: Head | None) -> Any:
    """Build the Keras model: stem outputs -> the teacher's embedding, from mean and maximum over the window."""
    keras = import_tensorflow().keras
    layers = keras.layers
    blocks = keras.Model(_stem_end(student), [student.get_layer(layer).output for layer in backbone.pooled])
    stem_outputs = layers.Input(blocks.input_shape[1:])
    pooled = [
        layer()(output)
        for output in blocks(stem_outputs)
        for layer in (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)
    ]
    features = layers.Concatenate(dtype="float32")(pooled)
    if head is not None:
        scale, offset = (1.0 / head.scale).tolist(), (-head.mean / head.scale).tolist()
        features = layers.Rescaling(scale, offset, dtype="float32")(features)
    dense = layers.Dense(EMBEDDING, dtype="float32")
    network = keras.Model(stem_outputs, dense(features))
    if head is not None:
        dense.set_weights([head.weights, head.bias])
    return network


def _content_digest(
    targets: DistillationTargets,
    rows: NDArray[np.intp],
    backbone: BackboneConfig,
    config: DistillationConfig,
    head: Head | None,
) -> str:
    """Return the digest of everything that the training depends on. A checkpoint of other data is no beginning."""
    arrays = [targets.windows, targets.embeddings, rows, *([] if head is None else vars(head).values())]
    digests = [hashlib.sha256(np.ascontiguousarray(array).data.cast("B")).hexdigest() for array in arrays]
    return digest({"arrays": digests, "backbone": backbone.key(), "config": asdict(config)})


def _fit(network: Any, batches: Any, config: DistillationConfig, checkpoint: Path, summaries: Path) -> None:
    """Train, and continue from the checkpoint of an interrupted run."""
    keras = import_tensorflow().keras
    warm_up = min(config.warm_up, config.passes * len(batches) // 2)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, config.passes * len(batches) - warm_up, warmup_target=config.rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay, global_clipnorm=5.0)
    network.compile(optimizer, "mse")
    network.fit(
        batches,
        epochs=config.passes,
        callbacks=[
            keras.callbacks.BackupAndRestore(str(checkpoint), delete_checkpoint=False),
            keras.callbacks.TensorBoard(str(summaries), write_graph=False),
        ],
    )


def _batches(stem_outputs: NDArray[np.float16], rows: NDArray[np.intp], targets: NDArray[np.float32], seed: int) -> Any:
    """Return batches of some rows of the stem outputs and their targets, in a new order each pass, for `fit`."""

    class Batches(import_tensorflow().keras.utils.PyDataset):  # type: ignore[misc] # the class exists once TensorFlow is loaded
        def __init__(self) -> None:
            super().__init__()
            self._rng = np.random.default_rng(seed)
            self.on_epoch_end()

        def __len__(self) -> int:
            return math.ceil(len(rows) / BATCH_SIZE)

        def __getitem__(self, number: int) -> tuple[Any, Any]:
            drawn = self._order[number * BATCH_SIZE : (number + 1) * BATCH_SIZE]
            return stem_outputs[rows[drawn]].astype(np.float32), targets[drawn]

        def on_epoch_end(self) -> None:
            self._order = self._rng.permutation(len(rows))

    return Batches()
