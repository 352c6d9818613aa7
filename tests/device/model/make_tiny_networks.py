"""Maker of tiny_audioset.tflite and tiny_inception.tflite, the networks of tests/tiny_bundle.py, with TensorFlow.

Both compare the loudest point of the lower half of the bands with that of the upper half: labels `low` and `high`, and
`unknown` where the halves are alike. For the AudioSet network, class 3 has a probability of 0.88 in every window, and
class 0 is likely for a low tone.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

FOLDER = Path(__file__).resolve().parent
RNG = np.random.default_rng(0)


def network(shape, kernel, bias):
    """Build a network whose outputs are linear in the maxima of both halves of the bands."""
    image = keras.Input((*shape, 1), batch_size=1)
    maxima = keras.layers.Flatten()(keras.layers.MaxPooling2D((shape[0] // 2, shape[1]))(image))
    dense = keras.layers.Dense(len(bias))
    model = keras.Model(image, dense(maxima))
    dense.set_weights([np.asarray(kernel, np.float32), np.asarray(bias, np.float32)])
    return model


def head(steepness, unknown):
    """Return kernel and bias of a head with the outputs low, high and unknown."""
    return steepness * np.array([[1, -1, 0], [-1, 1, 0]]), [0, 0, unknown]


def audioset():
    """Return the TFLite file of the AudioSet network: clip 3, live 3, audioset 527, embedding 4; float16 weights."""
    kernel, bias = np.zeros((2, 527)), np.full(527, -6.0)
    kernel[:, 0], bias[0], bias[3] = (3, -3), -3, 2
    embedding = RNG.normal(size=(2, 4)), np.zeros(4)
    parts = [head(3, 2), head(2, 2), (kernel, bias), embedding]
    model = network((128, 301), np.hstack([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def inception():
    """Return the TFLite file of the other network: clip 3; int8."""
    converter = tf.lite.TFLiteConverter.from_keras_model(network((128, 184), *head(4, 2)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    windows = RNG.uniform(-1, 1, (40, 1, 128, 184, 1)).astype(np.float32)
    windows[::2, :, :64] = -1
    windows[1::2, :, 64:] = -1
    converter.representative_dataset = lambda: ([window] for window in windows)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


if __name__ == "__main__":
    (FOLDER / "tiny_audioset.tflite").write_bytes(audioset())
    (FOLDER / "tiny_inception.tflite").write_bytes(inception())
