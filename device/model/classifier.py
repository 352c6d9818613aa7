"""Classifier: log-mel -> calibrated scores, computed by the TFLite interpreter."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import ConfigError, UnavailableError
from device.types import LogMel, Probabilities
from device.util.native_stderr import silent_stderr


class Classifier:
    """int8 TFLite network, loaded into memory. Used from one thread.

    Args:
        model_path: `model.tflite`: int8 (1, mel_bands, frames, 1) in, int8 logits (1, outputs) out.
        labels: number of labels. One more output, if any, is for `unknown`.
        temperature: divisor of the logits before the softmax (C. Guo et al., "On Calibration of Modern Neural
            Networks", ICML 2017).
        threads: number of CPU threads of the interpreter.

    Raises:
        ConfigError: the file is no TFLite model, or its inputs or outputs do not match.
        UnavailableError: no TFLite interpreter is installed.
    """

    def __init__(self, model_path: Path, *, labels: int, temperature: float, threads: int = 1) -> None:
        self._labels = labels
        self._temperature = temperature
        try:
            with silent_stderr():
                self._interpreter = interpreter_class()(model_path=str(model_path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ConfigError(f"{model_path}: TFLite cannot load it ({error}). Export the bundle anew") from error
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        outputs = int(self._output["shape"][-1])
        if self._input["dtype"] != np.int8 or self._output["dtype"] != np.int8 or outputs - labels not in (0, 1):
            raise ConfigError(
                f"{model_path}: must be int8 in and out with {labels} or {labels + 1} outputs, but is "
                f"{self._input['dtype'].__name__}, {self._output['dtype'].__name__}, {outputs}. Export it anew"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the log-mel that the network requires: (mel_bands, frames)."""
        return tuple(int(length) for length in self._input["shape"][1:3])

    def __call__(self, log_mel: LogMel) -> Probabilities:
        """Compute the scores of one window.

        Args:
            log_mel: shape (mel_bands, frames), float32, in [-1, 1].

        Returns:
            Shape (labels,), float32, 0 to 1. They sum to 1 less the probability of `unknown`.
        """
        logits = infer(self._interpreter, self._input, self._output, log_mel)
        return softmax(logits / self._temperature)[: self._labels]


def infer(interpreter: Any, input_details: Any, output_details: Any, log_mel: LogMel) -> NDArray[np.float32]:
    """Run an int8 network on one window: quantize its input, dequantize its outputs.

    Args:
        interpreter: TFLite interpreter with allocated tensors.
        input_details: the interpreter's details of the input tensor.
        output_details: the interpreter's details of the output tensor.
        log_mel: shape (mel_bands, frames), float32, in [-1, 1].

    Returns:
        Logits, shape (outputs,), float32.
    """
    scale, zero_point = input_details["quantization"]
    quantized = np.clip(np.rint(log_mel / scale) + zero_point, -128, 127).astype(np.int8)
    interpreter.set_tensor(input_details["index"], quantized[np.newaxis, :, :, np.newaxis])
    interpreter.invoke()
    scale, zero_point = output_details["quantization"]
    logits: NDArray[np.float32] = scale * (
        interpreter.get_tensor(output_details["index"])[0].astype(np.float32) - zero_point
    )
    return logits


def softmax(logits: NDArray[np.float32]) -> Probabilities:
    """Compute exp(x) / sum(exp(x)) over the last axis, float32.

    The largest logit is subtracted first, against overflow.
    """
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Probabilities = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probabilities


def interpreter_class() -> Any:
    """Return the interpreter class of tflite-runtime, or of its successor ai-edge-litert.

    tflite-runtime has no wheel for Python 3.12 and later.

    Raises:
        UnavailableError: neither is installed.
    """
    try:
        from tflite_runtime.interpreter import Interpreter
    except ModuleNotFoundError:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ModuleNotFoundError as error:
            raise UnavailableError(
                "no TFLite interpreter is installed. Install Earshot with pip, which installs the right one"
            ) from error
    return Interpreter
