"""Rescaling of a network's channels, exact in float, after which int8 loses less.

TFLite quantizes a layer's outputs with one step for all channels, so a channel that stays below 0.5 beside one
that reaches 10 is left with a dozen levels. ReLU and pooling commute with a positive factor: a channel can be
multiplied where it is made and divided where it is used (M. Nagel et al., "Data-Free Quantization Through Weight
Equalization and Bias Correction", ICCV 2019; here the ranges come from data).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.models.tf import BATCH_SIZE, import_tensorflow

STRENGTH = 0.5
"""Share of a channel's range, in its logarithm, that is evened out. 1 would make all activations' ranges equal, and
leave the unevenness to the weights, which are int8 too."""
LARGEST_FACTOR = 16.0


def equalize(network: Any, log_mels: NDArray[np.float32], strength: float = STRENGTH) -> None:
    """Even out the ranges of the channels of each layer, in place; what the network computes stays the same.

    Args:
        network: Keras; each Activation("relu") follows a batch normalisation without gain, and that a convolution
            without bias, as in Inception V3. Between ReLU and the next convolution only pooling and concatenation may
            stand.
        log_mels: windows that show the ranges, shape (n, mel_bands, frames).
        strength: 0 to 1 (see `STRENGTH`).
    """
    keras = import_tensorflow().keras
    # Others than plain ReLU do not commute with a factor: a network of ReLU6 (MobileNet) is left as it is.
    activations = [
        layer
        for layer in network.layers
        if isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.relu
    ]
    if not activations:
        return
    factors = dict(
        zip([each.name for each in activations], _factors(network, activations, log_mels, strength), strict=True)
    )
    for activation in activations:
        factor = factors[activation.name]
        normalisation = _source(activation)
        convolution = _source(normalisation)
        beta, mean, variance = normalisation.get_weights()
        normalisation.set_weights([beta * factor, mean * factor, variance])
        (kernel,) = convolution.get_weights()
        convolution.set_weights([kernel * factor])
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            kernel, *bias = layer.get_weights()
            layer.set_weights([kernel / _factor_of(layer.input, factors)[:, np.newaxis], *bias])


def _factors(
    network: Any, activations: list[Any], log_mels: NDArray[np.float32], strength: float
) -> list[NDArray[np.float32]]:
    """For each activation, what its channels are multiplied with, at least 1, shape (channels,)."""
    tf = import_tensorflow()
    outputs = tf.keras.Model(network.input, [layer.output for layer in activations])
    run = tf.function(lambda x: [tf.reduce_max(output, axis=(0, 1, 2)) for output in outputs(x, training=False)])
    batches = [log_mels[start : start + BATCH_SIZE, ..., np.newaxis] for start in range(0, len(log_mels), BATCH_SIZE)]
    ranges = [np.max(parts, axis=0) for parts in zip(*([r.numpy() for r in run(b)] for b in batches), strict=True)]
    return [
        np.clip((each.max() / np.maximum(each, 1e-6)) ** strength, 1.0, LARGEST_FACTOR).astype(np.float32)
        for each in ranges
    ]


def _factor_of(tensor: Any, factors: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """What the channels of a tensor have been multiplied with, shape (channels,)."""
    layer = tensor._keras_history.operation
    if layer.name in factors:
        return factors[layer.name]
    sources = layer.input if isinstance(layer.input, list) else [layer.input]
    if layer.weights or not sources:  # a layer that was not touched, or the network's input
        return np.ones(tensor.shape[-1], np.float32)
    return np.concatenate([_factor_of(source, factors) for source in sources])


def _source(layer: Any) -> Any:
    """The layer that a layer takes its input from."""
    return layer.input._keras_history.operation
