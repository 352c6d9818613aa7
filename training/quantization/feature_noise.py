"""What int8 adds to a window's features: measured, so that a head can learn to ignore it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.models.head import LIMIT, feature_statistics, standardize, standardized_output
from training.models.tf import import_tensorflow
from training.quantization.tflite import equalize_and_convert, int8_outputs


def quantization_errors(
    backbone: Any, log_mels: NDArray[np.float32], features: NDArray[np.float16]
) -> NDArray[np.float32]:
    """Features by the backbone in int8, less those in float, about their mean; shape (n, features), float32.

    Rounding in an early layer reaches thousands of features together, so its errors add up where a head sums them.
    Their mean is left out: the last bias makes up for it (`training.quantization.tflite`).

    Args:
        backbone: of `build_backbone`. Its channels are rescaled: it is of no use afterwards.
        log_mels: varied windows, shape (n, mel_bands, frames).
        features: theirs, in float, shape (n, features).
    """
    keras = import_tensorflow().keras
    mean, scale = feature_statistics(features)
    joined = standardized_output(backbone, mean, scale)
    network = keras.Model(backbone.input, keras.layers.Reshape((len(mean),))(joined), name="features")
    found = int8_outputs(equalize_and_convert(network, log_mels), log_mels) * (LIMIT / 3.0) - LIMIT
    errors: NDArray[np.float32] = (found - standardize(features, mean, scale)) * scale
    errors -= errors.mean(axis=0)
    return errors
