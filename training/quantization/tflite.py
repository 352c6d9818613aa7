"""Conversion of a float network to TFLite: int8, with channels equalized and last bias corrected, or float16."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.model.classifier import infer, interpreter_class
from device.util.native_stderr import silent_stderr
from training.data.parallel import parallel_map
from training.models.tf import import_tensorflow
from training.quantization.channel_equalization import equalize

RANGE_WINDOWS = 120
"""Windows that the value ranges of each layer are measured on. More windows change nothing beyond chance, and the
converter is the slowest part of an export."""


def quantize_network(network: Any, log_mels: NDArray[np.float32], logits: NDArray[np.float32]) -> bytes:
    """Return the TFLite file content of a network, int8 in and out, weights with one scale per channel.

    Rounding shifts the mean of each layer's outputs, and the head sums thousands of such shifts: they added up to 0.4
    of a logit. The last bias corrects the shift (M. Nagel et al., "Data-Free Quantization Through Weight Equalization
    and Bias Correction", ICCV 2019).

    Args:
        network: Keras, log-mels (n, mel_bands, frames, 1) -> logits. Its channels are rescaled; its outputs stay the
            same.
        log_mels: varied windows, shape (n, mel_bands, frames); the ranges of each layer are measured on the first ones.
        logits: float logits of these windows, shape (n, outputs).
    """
    content = equalize_and_convert(network, log_mels)
    shift = int8_outputs(content, log_mels).mean(axis=0) - logits.mean(axis=0)
    return lower_last_bias(content, shift)


def equalize_and_convert(network: Any, log_mels: NDArray[np.float32]) -> bytes:
    """Equalize a network's channels and return its TFLite file content; arguments as for `quantize_network`."""
    calibration_windows = log_mels[:RANGE_WINDOWS]
    equalize(network, calibration_windows)
    return convert(network, calibration_windows)


def lower_last_bias(content: bytes, by: NDArray[np.float32]) -> bytes:
    """Return the TFLite file content with the last convolution's bias lowered by `by` logits, shape (outputs,).

    The converted file is edited, because a second conversion would take longer than the rest of an export.
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
    """Quantize to int8, weights with one scale per channel, and return the TFLite file content.

    Args:
        network: Keras, log-mels (n, mel_bands, frames, 1) -> logits.
        log_mels: windows to measure the ranges of each layer on, shape (n, mel_bands, frames).
    """
    tf = import_tensorflow()

    def configure(converter: Any) -> None:
        converter.representative_dataset = lambda: ([window[np.newaxis, ..., np.newaxis]] for window in log_mels)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8

    return _convert(network, configure)


def convert_float16(network: Any) -> bytes:
    """Store the weights as float16 and return the TFLite file content; inputs and outputs are float32.

    XNNPACK computes in float32, as fast as with float32 weights, also in tflite-runtime 2.14.

    Args:
        network: Keras, log-mels (n, mel_bands, frames, 1) -> outputs.
    """
    tf = import_tensorflow()

    def configure(converter: Any) -> None:
        converter.target_spec.supported_types = [tf.float16]

    return _convert(network, configure)


def _convert(network: Any, configure: Callable[[Any], None]) -> bytes:
    """Convert a network for one window; `configure` sets the options of the converter."""
    tf = import_tensorflow()
    window = tf.TensorSpec((1, *network.input_shape[1:]), tf.float32)
    function = tf.function(lambda log_mel: network(log_mel, training=False)).get_concrete_function(window)
    # TensorFlow warns about intended settings; failures are exceptions.
    with silent_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], network)
        # The weights are frozen in memory. By default they travel through a SavedModel, which takes six times as long.
        converter.experimental_lower_to_saved_model = False
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        configure(converter)
        content: bytes = converter.convert()
    return content


def int8_outputs(content: bytes, log_mels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the outputs of TFLite file content, shape (n, outputs), for windows, shape (n, mel_bands, frames)."""

    def load() -> tuple[Any, Any, Any]:
        with silent_stderr():
            interpreter = interpreter_class()(model_content=content)
            interpreter.allocate_tensors()
        return interpreter, interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    return np.array(list(parallel_map(load, lambda loaded, window: infer(*loaded, window), log_mels)), np.float32)
