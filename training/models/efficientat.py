"""EfficientAT mn04: an AudioSet network in Keras, built from the arrays of its PyTorch checkpoint.

MobileNetV3-Large (A. Howard et al., "Searching for MobileNetV3", ICCV 2019) at width 0.4, trained on AudioSet by F.
Schmid, K. Koutini and G. Widmer, "Efficient Large-scale Audio Tagging via Transformer-to-CNN Knowledge Distillation",
ICASSP 2023. The checkpoint is MIT, Copyright (c) 2022 Florian Schmid.
"""

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import InputError
from training.models.head import LIMIT, Head
from training.models.tf import import_tensorflow

EMBEDDING, HIDDEN, CLASSES = 384, 512, 527
"""Channels of the last convolution, averaged over the window; units of the hidden layer; AudioSet's classes."""
FEATURES = EMBEDDING + HIDDEN + CLASSES
"""Features that a head is fitted on: embedding, hidden layer, and AudioSet logits."""
CHECKPOINT = (
    "Take mn04_as_mAP_432.pt (MIT licence) from the releases of github.com/fschmid56/EfficientAT, save its state_dict "
    "with numpy.savez under the names that it has there, and pass the file with --audioset-weights (docs/training.md)"
)
_FIRST = 8
_EPSILON = 1e-3
_NORMALIZATION = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class _Block:
    """Inverted residual block: 1x1 expansion, depthwise convolution, squeeze-and-excitation, 1x1 projection."""

    expanded: int
    out: int
    kernel: int
    stride: int
    squeezed: int = 0
    """Hidden units of squeeze-and-excitation; 0 for none."""
    hard_swish: bool = True
    """Activation; ReLU if False."""


_BLOCKS = (
    _Block(8, 8, 3, 1, hard_swish=False),  # the first block has no expansion
    _Block(24, 16, 3, 2, hard_swish=False),
    _Block(32, 16, 3, 1, hard_swish=False),
    _Block(32, 16, 5, 2, 8, hard_swish=False),
    _Block(48, 16, 5, 1, 16, hard_swish=False),
    _Block(48, 16, 5, 1, 16, hard_swish=False),
    _Block(96, 32, 3, 2),
    _Block(80, 32, 3, 1),
    _Block(72, 32, 3, 1),
    _Block(72, 32, 3, 1),
    _Block(192, 48, 3, 1, 48),
    _Block(272, 48, 3, 1, 72),
    _Block(272, 64, 5, 2, 72),
    _Block(384, 64, 5, 1, 96),
    _Block(384, 64, 5, 1, 96),
)
"""The residual is added where stride and number of channels stay the same."""


@cache
def array_shapes() -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each array of the checkpoint."""
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, out: int, into: int, kernel: int) -> None:
        shapes[f"{name}.0.weight"] = (out, into, kernel, kernel)
        shapes.update({f"{name}.1.{array}": (out,) for array in _NORMALIZATION})

    def linear(name: str, out: int, into: int) -> None:
        shapes.update({f"{name}.weight": (out, into), f"{name}.bias": (out,)})

    convolution("features.0", _FIRST, 1, 3)
    channels = _FIRST
    for number, block in enumerate(_BLOCKS, 1):
        names = _layer_names(number, block)
        if number > 1:
            convolution(next(names), block.expanded, channels, 1)
        convolution(next(names), block.expanded, 1, block.kernel)
        if block.squeezed:
            name = next(names)
            linear(f"{name}.fc1", block.squeezed, block.expanded)
            linear(f"{name}.fc2", block.expanded, block.squeezed)
        convolution(next(names), block.out, block.expanded, 1)
        channels = block.out
    convolution(f"features.{len(_BLOCKS) + 1}", EMBEDDING, channels, 1)
    linear("classifier.2", HIDDEN, EMBEDDING)
    linear("classifier.5", CLASSES, HIDDEN)
    return shapes


def load_arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read the arrays of the checkpoint.

    Raises:
        InputError: the file is missing, unreadable, or contains another network.
    """
    if not path.is_file():
        raise InputError(f"no weights of the AudioSet network at {path}. {CHECKPOINT}")
    expected = array_shapes()
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name].astype(np.float32) for name in expected}
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not the weights of EfficientAT mn04 ({error}). {CHECKPOINT}") from error
    wrong = [name for name, shape in expected.items() if arrays[name].shape != shape]
    if wrong:
        shape, needed = arrays[wrong[0]].shape, expected[wrong[0]]
        raise InputError(
            f"{path}: weights of another network: {wrong[0]} has shape {shape}, in mn04 it has {needed}. {CHECKPOINT}"
        )
    return arrays


def build_mn04(arrays: Mapping[str, NDArray[np.float32]], shape: tuple[int, int], batch: int | None = None) -> Any:
    """Build the Keras model: log-mels (n, mel_bands, frames, 1) -> embedding, hidden layer, AudioSet logits.

    Args:
        arrays: see `load_arrays`.
        shape: (mel_bands, frames).
        batch: fixed number of windows; None for any.

    Returns:
        A model with outputs (n, 384), (n, 512) and (n, 527).

    Raises:
        UnavailableError: TensorFlow is not installed.
    """
    return _Builder(arrays).model(shape, batch)


def build_audioset_network(
    arrays: Mapping[str, NDArray[np.float32]], shape: tuple[int, int], heads: Mapping[str, Head]
) -> Any:
    """Build the Keras model that ships: log-mels (1, mel_bands, frames, 1) -> one tensor (1, outputs).

    Its parts are the logits of each head, in their order, then AudioSet's logits and the embedding.

    Args:
        arrays: see `load_arrays`.
        shape: (mel_bands, frames).
        heads: heads on the features [embedding, hidden layer, AudioSet logits].
    """
    keras = import_tensorflow().keras
    network = build_mn04(arrays, shape, batch=1)
    embedding, hidden, logits = network.outputs
    features = keras.layers.Concatenate()([embedding, hidden, logits])
    parts = []
    for name, head in heads.items():
        standardize = keras.layers.Rescaling(1.0 / head.scale, -head.mean / head.scale, name=f"standardize_{name}")
        clip = keras.layers.ReLU(2.0 * LIMIT, name=f"clip_{name}")  # ±LIMIT, mapped to 0..2 LIMIT
        dense = keras.layers.Dense(len(head.bias), name=f"head_{name}")
        parts.append(dense(clip(standardize(features) + LIMIT)))
        dense.set_weights([head.weights, head.bias - LIMIT * head.weights.sum(axis=0)])
    return keras.Model(network.input, keras.layers.Concatenate()([*parts, logits, embedding]), name="audioset")


class _Builder:
    """Builds the layers, then sets their weights."""

    def __init__(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        self._keras = import_tensorflow().keras
        self._arrays = arrays
        self._weights: list[tuple[Any, list[NDArray[np.float32]]]] = []

    def model(self, shape: tuple[int, int], batch: int | None) -> Any:
        layers = self._keras.layers
        log_mels = layers.Input((*shape, 1), batch_size=batch)
        x = self._hard_swish(self._convolution(log_mels, "features.0", 2))
        for number, block in enumerate(_BLOCKS, 1):
            x = self._block(x, number, block)
        x = self._hard_swish(self._convolution(x, f"features.{len(_BLOCKS) + 1}", 1))
        embedding = layers.GlobalAveragePooling2D()(x)
        hidden = self._hard_swish(self._linear(embedding, "classifier.2"))
        model = self._keras.Model(log_mels, [embedding, hidden, self._linear(hidden, "classifier.5")], name="mn04")
        for layer, weights in self._weights:
            layer.set_weights(weights)
        return model

    def _block(self, x: Any, number: int, block: _Block) -> Any:
        activate = self._hard_swish if block.hard_swish else self._keras.layers.ReLU()
        names, y = _layer_names(number, block), x
        if number > 1:
            y = activate(self._convolution(y, next(names), 1))
        y = activate(self._convolution(y, next(names), block.stride, depthwise=True))
        if block.squeezed:
            y = y * self._excitation(y, next(names))
        y = self._convolution(y, next(names), 1)
        return y + x if block.stride == 1 and x.shape[-1] == block.out else y

    def _excitation(self, x: Any, name: str) -> Any:
        """Return the factor of each channel, 0 to 1, shape (n, 1, 1, channels)."""
        y = self._keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
        for layer, activation in (("fc1", "relu"), ("fc2", "sigmoid")):
            y = self._linear(y, f"{name}.{layer}", activation)
        return y

    def _linear(self, x: Any, name: str, activation: str | None = None) -> Any:
        weight = self._arrays[f"{name}.weight"]
        layer = self._keras.layers.Dense(len(weight), activation=activation)
        self._weights.append((layer, [weight.T, self._arrays[f"{name}.bias"]]))
        return layer(x)

    def _convolution(self, x: Any, name: str, stride: int, depthwise: bool = False) -> Any:
        """Return a convolution without bias, then batch normalization.

        Padding is PyTorch's: half a kernel on each side, also at stride 2, where TensorFlow's `same` differs.
        """
        layers, weight = self._keras.layers, self._arrays[f"{name}.0.weight"]
        out, _, size, _ = weight.shape
        if size > 1:
            x = layers.ZeroPadding2D(size // 2)(x)
        if depthwise:
            layer = layers.DepthwiseConv2D(size, strides=stride, use_bias=False)
            self._weights.append((layer, [weight.transpose(2, 3, 0, 1)]))
        else:
            layer = layers.Conv2D(out, size, strides=stride, use_bias=False)
            self._weights.append((layer, [weight.transpose(2, 3, 1, 0)]))
        normalize = layers.BatchNormalization(epsilon=_EPSILON)
        self._weights.append((normalize, [self._arrays[f"{name}.1.{array}"] for array in _NORMALIZATION]))
        return normalize(layer(x))

    def _hard_swish(self, x: Any) -> Any:
        return x * self._keras.layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)


def _layer_names(number: int, block: _Block) -> Iterator[str]:
    """Yield the names of a block's layers in the checkpoint, in order."""
    first = f"features.{number}.block"
    count = 2 if number == 1 else 3
    squeeze_at = count - 1 if block.squeezed else -1
    for index in range(count + bool(block.squeezed)):
        yield f"{first}.{index}.conc_se_layers.0" if index == squeeze_at else f"{first}.{index}"
