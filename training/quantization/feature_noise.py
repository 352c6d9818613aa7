"""Quantization error of a window's features, measured so that the head can be fitted to ignore it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.models.head import LIMIT, feature_statistics, standardize, standardized_output
from training.models.tf import import_tensorflow
from training.quantization.tflite import equalize_and_convert, int8_outputs


def quantization_errors(
    backbone: Any, log_mels: NDArray[np.float32], features: NDArray[np.float16]
) -> NDArray[np.float32]:
    """Return int8 features less float features, with their mean subtracted; shape (n, features), float32.

    A rounding error in an early layer changes thousands of features together, so the errors add up in the head's sums.
    Their mean is subtracted, because the last bias corrects it (`training.quantization.tflite`).

    Args:
        backbone: model of `build_backbone`. Its channels are rescaled: do not use it afterwards.
        log_mels: varied windows, shape (n, mel_bands, frames).
        features: float features of the windows, shape (n, features).
    """
    keras = import_tensorflow().keras
    mean, scale = feature_statistics(features)
    joined = standardized_output(backbone, mean, scale)
    network = keras.Model(backbone.input, keras.layers.Reshape((len(mean),))(joined), name="features")
    quantized = int8_outputs(equalize_and_convert(network, log_mels), log_mels) * (LIMIT / 3.0) - LIMIT
    errors: NDArray[np.float32] = (quantized - standardize(features, mean, scale)) * scale
    errors -= errors.mean(axis=0)
    return errors
