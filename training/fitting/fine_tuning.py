"""Fine-tuning of the backbone's later blocks, for as many epochs as validation recommends.

It starts from the fitted head. A random head would have large gradients, which first destroy the ImageNet weights (A.
Kumar et al., "Fine-Tuning can Distort Pretrained Features", ICLR 2022). Batch normalization keeps the statistics of
ImageNet: with those of small batches of clips, training collapses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import ConfigError
from training.data.dataset import Dataset
from training.data.progress import progress
from training.data.spectrograms import Spectrograms
from training.fitting.calibration import clip_means
from training.models.head import predict_logits
from training.models.tf import import_tensorflow


@dataclass(frozen=True)
class FineTuneConfig:
    """Number of epochs, learning rate and trained blocks."""

    epochs: int = 0
    """Largest number of epochs; validation may choose fewer. 0 keeps the linear head on the frozen backbone."""
    rate: float = 2e-5
    frozen_up_to: str = "mixed2"
    """Blocks up to this one keep the ImageNet weights: edges and textures need no training."""
    batch: int = 32
    label_smoothing: float = 0.1


@dataclass(frozen=True)
class TrainingWindows:
    """Windows and copies to train on, as parts of the dataset, and the target of each clip."""

    parts: Sequence[Spectrograms]
    target: NDArray[np.int64]

    def draw(self, clips: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw one window or copy of each clip at random, shape (clips, mel_bands, frames)."""
        drawn = []
        for clip in clips:
            part = self.parts[rng.integers(len(self.parts))]
            rows = np.flatnonzero(part.clip == clip)
            drawn.append(part.log_mels(rows[rng.integers(len(rows)), np.newaxis])[0])
        return np.stack(drawn)


def fine_tune(
    network: Any,
    windows: TrainingWindows,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    config: FineTuneConfig,
    seed: int,
) -> list[float]:
    """Train a network in place, and measure its accuracy on validation clips.

    Args:
        network: Keras, log-mels -> logits.
        windows: windows to draw from; its first part contains those of the original clips.
        train: numbers of the training clips.
        validation: numbers of the validation clips; may be empty.
        config: epochs, learning rate, trained blocks.
        seed: seed of order and draw.

    Returns:
        Validation accuracy before training and after each epoch, 0 to 1; empty without validation clips.

    Raises:
        ConfigError: the network has no layer `frozen_up_to`.
    """
    tf = import_tensorflow()
    _freeze(network, config.frozen_up_to)
    optimizer = tf.keras.optimizers.AdamW(config.rate, weight_decay=1e-3, clipnorm=1.0)
    loss_of = tf.keras.losses.CategoricalCrossentropy(True, label_smoothing=config.label_smoothing)
    outputs = int(network.output_shape[-1])

    def train_step(log_mels: Any, expected: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(expected, network(log_mels, training=True))
        weights = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    step = tf.function(train_step, reduce_retracing=True)
    rng = np.random.default_rng(seed)
    curve = [_accuracy(network, windows, validation)] if validation.size else []
    for epoch in range(1, config.epochs + 1):
        order = rng.permutation(train)
        batches = [order[start : start + config.batch] for start in range(0, len(order), config.batch)]
        for clips in progress(batches, len(batches), f"epoch {epoch} of {config.epochs}"):
            expected = np.eye(outputs, dtype=np.float32)[windows.target[clips]]
            step(windows.draw(clips, rng)[..., np.newaxis], expected)
        if validation.size:
            curve.append(_accuracy(network, windows, validation))
    return curve


def fine_tune_with_validation(
    dataset: Dataset,
    windows: TrainingWindows,
    test_fold: int | None,
    start: Callable[[int | None], Any],
    config: FineTuneConfig,
    seed: int,
) -> tuple[Any, list[list[float]]]:
    """Choose the number of epochs on each validation fold in turn, then fine-tune on all folds but `test_fold`.

    Args:
        dataset: clips with folds.
        windows: windows and copies of its clips.
        test_fold: fold that is left out; None to leave none out.
        start: builds the initial network, fitted without the given validation fold; None for all folds.
        config: epochs, learning rate, trained blocks.
        seed: seed of order and draw.

    Returns:
        The network, or None if no number of epochs improved it; and the validation curves.
    """
    folds = dataset.clip_folds
    curves = []
    for validation in (each for each in dataset.evaluation_folds if each != test_fold):
        train = np.flatnonzero((folds != validation) & (folds != test_fold))
        validation_clips = np.flatnonzero((folds == validation) & (windows.target < len(dataset.labels)))
        curves.append(fine_tune(start(validation), windows, train, validation_clips, config, seed))
    epochs = best_epoch(curves)
    if not epochs:
        return None, curves
    network = start(None)
    no_validation = np.array([], np.int64)
    fine_tune(network, windows, np.flatnonzero(folds != test_fold), no_validation, replace(config, epochs=epochs), seed)
    return network, curves


def best_epoch(curves: Sequence[Sequence[float]]) -> int:
    """Return the epoch with the highest mean validation accuracy; the earliest of equals, 0 for no fine-tuning."""
    return int(np.argmax(np.mean(np.array(curves), axis=0)))


def _freeze(network: Any, frozen_up_to: str) -> None:
    names = [layer.name for layer in network.layers]
    if frozen_up_to not in names:
        raise ConfigError(f"cannot freeze up to {frozen_up_to}: no such layer in the network. Choose one of its layers")
    normalisation = import_tensorflow().keras.layers.BatchNormalization
    for number, layer in enumerate(network.layers):
        layer.trainable = number > names.index(frozen_up_to) and not isinstance(layer, normalisation)


def _accuracy(network: Any, windows: TrainingWindows, clips: NDArray[np.int64]) -> float:
    """Return the share of clips with a correct decision by mean logits."""
    originals = windows.parts[0]
    rows = np.flatnonzero(np.isin(originals.clip, clips))
    numbers, logits = clip_means(predict_logits(network, originals.log_mels(rows)), originals.clip[rows])
    return float((logits.argmax(axis=1) == windows.target[numbers]).mean())
