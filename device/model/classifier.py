"""Network of a bundle: log-mel -> outputs, computed by the TFLite interpreter; and the parts of the outputs."""

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import ConfigError, UnavailableError
from device.model.audioset_features import AudioSetFeatureConfig, AudioSetLogMel
from device.model.manifest_network import Head, NetworkManifest, Part
from device.types import LogMel, Probabilities
from device.util.native_stderr import silent_stderr

RUNTIMES = {"ai-edge-litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.interpreter"}
"""Module of each package that contains the TFLite interpreter, in the order of preference."""


class BaseNetwork(ABC):
    """Base class of networks: features, and the parts of the outputs.

    Args:
        manifest: the network's part of the bundle's manifest.
    """

    def __init__(self, manifest: NetworkManifest) -> None:
        self.manifest = manifest
        self.log_mel = manifest.log_mel
        """Function that computes the network's log-mel, (mel_bands, frames), from a window's samples."""

    @abstractmethod
    def outputs(self, log_mel: LogMel) -> NDArray[np.float32]:
        """Compute the raw output tensor of one window.

        Args:
            log_mel: shape (mel_bands, frames), float32, from `log_mel`.

        Returns:
            Shape (outputs,), float32, in the order of the manifest's `outputs`.
        """

    def part(self, outputs: NDArray[np.float32], part: Part) -> NDArray[np.float32]:
        """Return one part of an output tensor, shape (length of the part,).

        Raises:
            KeyError: the network lacks the part.
        """
        return outputs[self.manifest.part_slice(part)]

    def probabilities(self, outputs: NDArray[np.float32], head: Head) -> Probabilities:
        """Compute the calibrated probabilities of a head.

        Args:
            outputs: raw output tensor.
            head: `clip` or `live`; a network without a head for live sound uses the one for clips.

        Returns:
            Shape (labels,) or (labels + 1,), float32, 0 to 1, with a sum of 1. The last of labels + 1 is `unknown`.
        """
        head = self.manifest.head(head)
        return softmax(self.part(outputs, head) / self.manifest.temperature[head])

    def audioset(self, outputs: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Compute the probabilities of AudioSet's classes, shape (527,), float32; None without that part."""
        return sigmoid(self.part(outputs, "audioset")) if self.manifest.classes is not None else None

    def embedding(self, outputs: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return the last layer before the heads, shape (length of the part,), float32; None without that part."""
        return self.part(outputs, "embedding") if "embedding" in self.manifest.outputs else None


class Network(BaseNetwork):
    """TFLite network, loaded into memory. Used from one thread.

    Args:
        path: TFLite file: (1, mel_bands, frames, 1) in, (1, outputs) out; int8, or float32 without quantization.
        manifest: the network's part of the bundle's manifest.
        threads: number of CPU threads of the interpreter.

    Raises:
        ConfigError: the file is no TFLite model, or its inputs or outputs do not match.
        UnavailableError: no TFLite interpreter can be loaded.
    """

    def __init__(self, path: Path, manifest: NetworkManifest, threads: int = 1) -> None:
        super().__init__(manifest)
        if isinstance(manifest.features, AudioSetFeatureConfig):
            self.log_mel = AudioSetLogMel(manifest.features)  # the hop of windows is no multiple of Inception's
        try:
            with silent_stderr():
                self._interpreter = interpreter_class()(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ConfigError(f"{path}: TFLite cannot load it ({error}). Export the bundle anew") from error
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        dtype = np.float32 if manifest.quantization is None else np.int8
        length = int(self._output["shape"][-1])
        if self._input["dtype"] != dtype or self._output["dtype"] != dtype or length != manifest.output_length:
            raise ConfigError(
                f"{path}: must be {dtype.__name__} in and out with {manifest.output_length} outputs, but is "
                f"{self._input['dtype'].__name__}, {self._output['dtype'].__name__}, {length}. Export it anew"
            )
        shape = tuple(int(length) for length in self._input["shape"][1:3])
        if shape != manifest.features.shape:
            raise ConfigError(
                f"bundle refused: {path}: it takes log-mels of shape {shape}, and the features in its manifest give "
                f"{manifest.features.shape}. Export the bundle again"
            )

    def outputs(self, log_mel: LogMel) -> NDArray[np.float32]:
        """See `BaseNetwork`."""
        return infer(self._interpreter, self._input, self._output, log_mel)


def infer(interpreter: Any, input_details: Any, output_details: Any, log_mel: LogMel) -> NDArray[np.float32]:
    """Run a network on one window. For an int8 network, quantize its input and dequantize its outputs.

    Args:
        interpreter: TFLite interpreter with allocated tensors.
        input_details: the interpreter's details of the input tensor.
        output_details: the interpreter's details of the output tensor.
        log_mel: shape (mel_bands, frames), float32.

    Returns:
        Shape (outputs,), float32.
    """
    tensor = np.asarray(log_mel, np.float32)
    if input_details["dtype"] == np.int8:
        scale, zero_point = input_details["quantization"]
        tensor = np.clip(np.rint(log_mel / scale) + zero_point, -128, 127).astype(np.int8)
    interpreter.set_tensor(input_details["index"], tensor[np.newaxis, :, :, np.newaxis])
    interpreter.invoke()
    outputs: NDArray[np.float32] = interpreter.get_tensor(output_details["index"])[0].astype(np.float32)
    if output_details["dtype"] == np.int8:
        scale, zero_point = output_details["quantization"]
        outputs = scale * (outputs - zero_point)
    return outputs


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute 1 / (1 + exp(-x)), float32, without overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits), np.float32)


def softmax(logits: NDArray[np.float32]) -> Probabilities:
    """Compute exp(x) / sum(exp(x)) over the last axis, float32.

    The largest logit is subtracted first, against overflow.
    """
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Probabilities = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probabilities


def interpreter_class() -> Any:
    """Return the interpreter class of the runtime, see `_runtime`.

    Raises:
        UnavailableError: no runtime can be loaded.
    """
    return _runtime()[1]


def runtime_name() -> str:
    """Return package and version of the runtime, as in "ai-edge-litert 2.3.0".

    Raises:
        UnavailableError: no runtime can be loaded.
    """
    from importlib.metadata import version

    package = _runtime()[0]
    return f"{package} {version(package)}"


def _runtime() -> tuple[str, Any]:
    """Return package and interpreter class of the first runtime that can be loaded.

    ai-edge-litert comes first because it is faster (docs/performance.md). It has no wheel for 32-bit ARM, where
    tflite-runtime is installed.
    """
    faults = []
    for package, module in RUNTIMES.items():
        try:
            return package, importlib.import_module(module).Interpreter
        except ImportError as error:  # absent, or compiled for another numpy or C library
            faults.append(str(error))
    raise UnavailableError(
        f"no TFLite interpreter can be loaded ({'; '.join(faults)}). "
        "Install Earshot with pip, which installs the right one"
    )
