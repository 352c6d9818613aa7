"""Channel equalization: rescaling of a network's channels, exact in float, that reduces the error of int8.

TFLite quantizes a layer's outputs with one step for all channels. A channel with values up to 0.5, beside one with
values up to 10, is left with a dozen levels. ReLU and pooling commute with a positive factor, so a channel can be
multiplied by a factor in one layer and divided by it in the next (M. Nagel et al., "Data-Free Quantization Through
Weight Equalization and Bias Correction", ICCV 2019; here the ranges come from data).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.models.tf import BATCH_SIZE, import_tensorflow

STRENGTH = 0.5
"""Exponent of the equalization, 0 to 1. At 1 all activations would have the same range, and the weights, which are int8
too, would become uneven."""
LARGEST_FACTOR = 16.0


def equalize(network: Any, log_mels: NDArray[np.float32], strength: float = STRENGTH) -> None:
    """Equalize the ranges of the channels of each layer, in place. The network's outputs stay the same.

    Args:
        network: Keras; each Activation("relu") follows a batch normalization without gain, and that a convolution
            without bias, as in Inception V3. Only pooling and concatenation are allowed between ReLU and the next
            convolution.
        log_mels: windows to measure the ranges on, shape (n, mel_bands, frames).
        strength: 0 to 1 (see `STRENGTH`).
    """
    keras = import_tensorflow().keras
    # Only plain ReLU commutes with a factor: a network with ReLU6 (MobileNet) is left unchanged.
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
    """Return the factors of each activation's channels, at least 1, each of shape (channels,)."""
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
    """Return the factors that the channels of a tensor were multiplied by, shape (channels,)."""
    layer = tensor._keras_history.operation
    if layer.name in factors:
        return factors[layer.name]
    sources = layer.input if isinstance(layer.input, list) else [layer.input]
    if layer.weights or not sources:  # a layer without a factor, or the network's input
        return np.ones(tensor.shape[-1], np.float32)
    return np.concatenate([_factor_of(source, factors) for source in sources])


def _source(layer: Any) -> Any:
    """Return the layer that computes a layer's input."""
    return layer.input._keras_history.operation
