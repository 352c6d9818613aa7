"""The network: a backbone and a linear head on its features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.progress import progress
from training.data.spectrograms import Spectrograms
from training.models.tf import BATCH_SIZE, import_tensorflow

LIMIT = 6.0
"""Standard deviations beyond which a feature is clipped."""
_INT8_STEP = 0.02
"""Of a pooled layer's mean once it is quantized: values go up to about 5, in 255 steps."""
LOGITS = "logits"
"""Name of the network's last layer with weights."""


@dataclass(frozen=True)
class Head:
    """Linear layer on standardised features: logits = clip((features - mean) / scale) @ weights + bias.

    Beyond ±LIMIT standardised features are clipped: one loud outlier would else set the one int8 scale that all of
    them share.

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
        """Logits, shape (n, outputs), float32, of features, shape (n, features)."""
        return standardize(features, self.mean, self.scale) @ self.weights + self.bias


def standardize(features: NDArray[Any], mean: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features as the linear layer sees them, shape (n, features), float32, in ±LIMIT."""
    clipped: NDArray[np.float32] = np.clip((features.astype(np.float32) - mean) / scale, -LIMIT, LIMIT)
    return clipped


def feature_statistics(features: NDArray[np.float16]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and scale of features, shape (n, features), for `standardise`; each of shape (features,), float32."""
    mean = features.mean(axis=0, dtype=np.float32)
    # A feature that varies by less than an int8 step must not be blown up: it would be all rounding.
    scale = np.hypot(features.std(axis=0, dtype=np.float32), np.float32(_INT8_STEP))
    return mean, scale


def attach_head(backbone: Any, head: Head) -> Any:
    """Keras model: log-mels (n, mel_bands, frames, 1) -> logits (n, outputs).

    The linear layer is a convolution of size 1, which TFLite quantizes with one scale a channel.
    """
    keras = import_tensorflow().keras
    dense = keras.layers.Conv2D(len(head.bias), 1, name=LOGITS)
    logits = keras.layers.Reshape((len(head.bias),))(dense(standardized_output(backbone, head.mean, head.scale)))
    weights = head.weights * np.float32(LIMIT / 3.0)
    dense.set_weights([weights[np.newaxis, np.newaxis], head.bias - 3.0 * weights.sum(axis=0)])
    return keras.Model(backbone.input, logits, name="earshot")


def standardized_output(backbone: Any, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> Any:
    """Keras tensor (n, 1, 1, features) on a backbone: its features in deviations, ±LIMIT of them brought to 0 to 6.

    Each pooled layer is standardised by itself before they are joined, since one int8 scale must serve all of them
    afterwards.
    """
    layers = import_tensorflow().keras.layers
    parts, start = [], 0
    for number, pooled in enumerate(backbone.outputs):
        part = slice(start, start := start + pooled.shape[-1])
        # ReLU6 clips to 0..6, and costs nothing: the features are brought from ±LIMIT to there.
        layer = layers.DepthwiseConv2D(1, activation="relu6", name=f"standardise_{number}")
        parts.append(layer(pooled))
        kernel = 3.0 / LIMIT / scale[part]
        layer.set_weights([kernel.reshape(1, 1, -1, 1), 3.0 - mean[part] * kernel])
    return layers.Concatenate()(parts) if len(parts) > 1 else parts[0]


def extract_features(backbone: Any, spectrograms: Spectrograms, description: str) -> NDArray[np.float16]:
    """Run the backbone over windows: features, shape (n, features), float16, as `Head` takes them.

    Args:
        backbone: of `build_backbone`.
        spectrograms: n windows.
        description: for the progress line.
    """
    tf = import_tensorflow()

    def features(log_mels: Any) -> Any:
        return tf.concat([tf.reshape(part, (-1, part.shape[-1])) for part in backbone(log_mels)], axis=1)

    run = tf.function(features)  # as a graph: half again as fast
    batches = [slice(start, start + BATCH_SIZE) for start in range(0, len(spectrograms), BATCH_SIZE)]
    parts = [
        run(spectrograms.log_mels(rows)[..., np.newaxis]).numpy().astype(np.float16)
        for rows in progress(batches, len(batches), description)
    ]
    return (
        np.concatenate(parts) if parts else np.zeros((0, sum(part.shape[-1] for part in backbone.outputs)), np.float16)
    )


def predict_logits(network: Any, log_mels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits, shape (n, outputs), of log-mels, shape (n, mel_bands, frames)."""
    logits: NDArray[np.float32] = network.predict(log_mels[..., np.newaxis], batch_size=BATCH_SIZE, verbose=0)
    return logits
