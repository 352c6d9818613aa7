"""The network: log-mel -> calibrated scores, by the TFLite interpreter."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import ConfigError, UnavailableError
from device.types import LogMel, Probabilities
from device.util.native_stderr import silent_stderr


class Classifier:
    """An int8 TFLite network in memory. Used from one thread.

    Args:
        model_path: `model.tflite`: int8 (1, mel_bands, frames, 1) in, int8 logits (1, outputs) out.
        labels: number of labels; an output beyond them is the network's "none of them".
        temperature: logits are divided by it before the softmax (Guo et al., ICML 2017).
        threads: CPU threads of the interpreter.

    Raises:
        ConfigError: the file is not a TFLite model, or not one of that shape.
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
        """Of the log-mel that the network takes: (mel_bands, frames)."""
        return tuple(int(length) for length in self._input["shape"][1:3])

    def __call__(self, log_mel: LogMel) -> Probabilities:
        """Score one window.

        Args:
            log_mel: shape (mel_bands, frames), float32, in [-1, 1].

        Returns:
            Shape (labels,), float32, 0 to 1. They sum to 1 less the probability of "none of them".
        """
        logits = infer(self._interpreter, self._input, self._output, log_mel)
        return softmax(logits / self._temperature)[: self._labels]


def infer(interpreter: Any, first: Any, last: Any, log_mel: LogMel) -> NDArray[np.float32]:
    """Run an int8 network on one window: outputs as numbers again, shape (outputs,), float32.

    Args:
        interpreter: its tensors are allocated.
        first: details of its input.
        last: details of its output.
        log_mel: shape (mel_bands, frames), float32, in [-1, 1].
    """
    scale, zero_point = first["quantization"]
    quantized = np.clip(np.rint(log_mel / scale) + zero_point, -128, 127).astype(np.int8)
    interpreter.set_tensor(first["index"], quantized[np.newaxis, :, :, np.newaxis])
    interpreter.invoke()
    scale, zero_point = last["quantization"]
    outputs: NDArray[np.float32] = scale * (interpreter.get_tensor(last["index"])[0].astype(np.float32) - zero_point)
    return outputs


def softmax(logits: NDArray[np.float32]) -> Probabilities:
    """exp(x) / sum(exp(x)) over the last axis, float32; the largest logit is subtracted first against overflow."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Probabilities = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probabilities


def interpreter_class() -> Any:
    """The interpreter of tflite-runtime, or of its successor where that has no wheel (Python 3.12 and later).

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
                "no TFLite interpreter is installed. Install Earshot with pip, which picks the right one"
            ) from error
    return Interpreter
