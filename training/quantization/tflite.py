"""A float network to an int8 one that decides alike: channels evened out, converted, its last bias corrected."""

import contextlib
import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.model.classifier import infer, interpreter_class
from device.util.native_stderr import silent_stderr
from training.data.parallel import parallel_map
from training.models.tf import import_tensorflow
from training.quantization.channel_equalization import equalize

RANGE_WINDOWS = 120
"""Windows that show the range of each layer's values: more change nothing beyond chance, and the converter takes the
longest of all that an export does."""


def quantize_network(network: Any, log_mels: NDArray[np.float32], logits: NDArray[np.float32]) -> bytes:
    """Content of the TFLite file of a network, int8 in and out, weights with one scale a channel.

    Rounding shifts the mean of each layer's outputs, and the head weighs thousands of such shifts: they added up to
    0.4 of a logit. The last bias makes up for it (M. Nagel et al., "Data-Free Quantization Through Weight Equalization
    and Bias Correction", ICCV 2019).

    Args:
        network: Keras, log-mels (n, mel_bands, frames, 1) -> logits. Its channels are rescaled, which leaves what it
            computes as it was.
        log_mels: varied windows, shape (n, mel_bands, frames); the first show the range of each layer's values.
        logits: the network's, of these windows, shape (n, outputs).
    """
    content = equalize_and_convert(network, log_mels)
    shift = int8_outputs(content, log_mels).mean(axis=0) - logits.mean(axis=0)
    return lower_last_bias(content, shift)


def equalize_and_convert(network: Any, log_mels: NDArray[np.float32]) -> bytes:
    """Content of the TFLite file of a network whose channels are evened out first; arguments as for `quantize`."""
    calibration_windows = log_mels[:RANGE_WINDOWS]
    equalize(network, calibration_windows)
    return convert(network, calibration_windows)


def lower_last_bias(content: bytes, by: NDArray[np.float32]) -> bytes:
    """Content of a TFLite file whose last convolution's bias is lower by so many logits, shape (outputs,).

    Nothing takes an export longer than the converter, so what is to change is changed in what it wrote.
    """
    import_tensorflow()
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    graph = model.subgraphs[0]
    convolution = next(operator for operator in reversed(graph.operators) if len(operator.inputs) == 3)
    tensor = graph.tensors[convolution.inputs[2]]
    buffer = model.buffers[tensor.buffer]
    bias = np.asarray(buffer.data, np.uint8).view(np.int32)
    buffer.data = (bias - np.rint(by / tensor.quantization.scale).astype(np.int32)).view(np.uint8)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def convert(network: Any, log_mels: NDArray[np.float32]) -> bytes:
    """Quantize to int8, weights with one scale a channel, and return the TFLite file's content.

    Args:
        network: Keras, log-mels (n, mel_bands, frames, 1) -> logits.
        log_mels: windows that show the range of each layer's values, shape (n, mel_bands, frames).
    """
    tf = import_tensorflow()
    one = tf.keras.Input(network.input_shape[1:], batch_size=1)
    # Keras prints signatures and TensorFlow warns of what is as we want it; failures are exceptions.
    with silent_stderr(), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(one, network(one, training=False)))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([window[np.newaxis, ..., np.newaxis]] for window in log_mels)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        content: bytes = converter.convert()
    return content


def int8_outputs(content: bytes, log_mels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs of a TFLite file's content, shape (n, outputs), of windows, shape (n, mel_bands, frames)."""

    def load() -> tuple[Any, Any, Any]:
        with silent_stderr():
            interpreter = interpreter_class()(model_content=content)
            interpreter.allocate_tensors()
        return interpreter, interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    return np.array(list(parallel_map(load, lambda loaded, window: infer(*loaded, window), log_mels)), np.float32)
