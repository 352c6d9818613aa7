"""Head: a linear layer on the backbone's features."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.parallel import Workers
from training.data.progress import progress
from training.data.spectrograms import Spectrograms, dequantize
from training.models.tf import BATCH_SIZE, import_tensorflow

LIMIT = 6.0
"""Standard deviations beyond which a feature is clipped."""
_INT8_STEP = 0.02
"""Quantization step of a pooled layer's mean: values range up to about 5, in 255 steps."""
LOGITS = "logits"
"""Name of the network's last layer with weights."""


@dataclass(frozen=True)
class Head:
    """Linear layer on standardized features: logits = clip((features - mean) / scale) @ weights + bias.

    Standardized features are clipped at ±LIMIT, because all of them share one int8 scale, which a single outlier would
    widen.

    Attributes:
        mean: shape (features,), float32.
        scale: shape (features,), float32, above 0.
        weights: shape (features, outputs), float32.
        bias: shape (outputs,), float32.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __call__(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Return logits, shape (n, outputs), float32, of features, shape (n, features)."""
        return standardize(features, self.mean, self.scale) @ self.weights + self.bias

    def with_unknown_bias(self, bias: float) -> "Head":
        """Return the head with a bias added to the logit of `unknown`, the last output."""
        raised = self.bias.copy()
        raised[-1] += bias
        return replace(self, bias=raised)


def standardize(features: NDArray[Any], mean: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the linear layer's inputs, shape (n, features), float32, within ±LIMIT."""
    clipped: NDArray[np.float32] = np.clip((features.astype(np.float32) - mean) / scale, -LIMIT, LIMIT)
    return clipped


def feature_statistics(features: NDArray[np.float16]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and scale of features, shape (n, features), for `standardize`; each (features,), float32."""
    mean = features.mean(axis=0, dtype=np.float32)
    # A feature that varies by less than an int8 step is not amplified, as it would consist of rounding errors.
    scale = np.hypot(features.std(axis=0, dtype=np.float32), np.float32(_INT8_STEP))
    return mean, scale


def attach_head(backbone: Any, head: Head) -> Any:
    """Build the Keras model: log-mels (n, mel_bands, frames, 1) -> logits (n, outputs).

    The linear layer is a convolution of size 1, which TFLite quantizes with one scale per channel.
    """
    keras = import_tensorflow().keras
    dense = keras.layers.Conv2D(len(head.bias), 1, name=LOGITS)
    logits = keras.layers.Reshape((len(head.bias),))(dense(standardized_output(backbone, head.mean, head.scale)))
    weights = head.weights * np.float32(LIMIT / 3.0)
    dense.set_weights([weights[np.newaxis, np.newaxis], head.bias - 3.0 * weights.sum(axis=0)])
    return keras.Model(backbone.input, logits, name="earshot")


def standardized_output(backbone: Any, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> Any:
    """Return a backbone's standardized features, as a Keras tensor (n, 1, 1, features), with ±LIMIT mapped to 0..6.

    Each pooled layer is standardized before they are concatenated, because one int8 scale serves all of them
    afterwards.
    """
    layers = import_tensorflow().keras.layers
    parts, start = [], 0
    for number, pooled in enumerate(backbone.outputs):
        part = slice(start, start := start + pooled.shape[-1])
        # ReLU6 clips to 0..6 at no cost, so the features are mapped from ±LIMIT to this range.
        layer = layers.DepthwiseConv2D(1, activation="relu6", name=f"standardise_{number}")
        parts.append(layer(pooled))
        kernel = 3.0 / LIMIT / scale[part]
        layer.set_weights([kernel.reshape(1, 1, -1, 1), 3.0 - mean[part] * kernel])
    return layers.Concatenate()(parts) if len(parts) > 1 else parts[0]


class BatchFeatures:
    """Features of batches of windows by a backbone. TensorFlow uses all cores for one batch, so batches take turns.

    Args:
        backbone: model of `build_backbone`.
    """

    def __init__(self, backbone: Any) -> None:
        tf = import_tensorflow()

        def features(log_mels: Any) -> Any:
            return tf.concat([tf.reshape(part, (-1, part.shape[-1])) for part in backbone(log_mels)], axis=1)

        self._run = tf.function(features)  # as a graph: 1.5 times as fast
        self._turn = Lock()
        self.count: int = sum(part.shape[-1] for part in backbone.outputs)
        """Features of a window."""

    def __call__(self, quantized: NDArray[np.int8]) -> NDArray[np.float16]:
        """Return the features, shape (n, features), of log-mels as int8, shape (n, mel_bands, frames)."""
        with self._turn:
            features: NDArray[np.float16] = self._run(dequantize(quantized)[..., np.newaxis]).numpy().astype(np.float16)
        return features


def extract_features(
    make: Callable[[], BatchFeatures], spectrograms: Spectrograms, workers: Workers, description: str
) -> NDArray[np.float16]:
    """Run a backbone over windows and return their features, shape (n, features), float16.

    Args:
        make: creates the backbone's function, see `Workers.map`.
        spectrograms: n windows.
        workers: what it runs on.
        description: text of the progress bar.
    """
    starts = range(0, len(spectrograms), BATCH_SIZE)
    batches = (spectrograms.quantized[start : start + BATCH_SIZE] for start in starts)
    parts = list(progress(workers.map(make, batches), len(starts), description))
    return np.concatenate(parts) if parts else np.zeros((0, make().count), np.float16)


def predict_logits(network: Any, log_mels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logits, shape (n, outputs), of log-mels, shape (n, mel_bands, frames)."""
    logits: NDArray[np.float32] = network.predict(log_mels[..., np.newaxis], batch_size=BATCH_SIZE, verbose=0)
    return logits
