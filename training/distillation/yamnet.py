"""Teacher: YAMNet, trained on the two million clips of AudioSet, with classes that UrbanSound8K lacks.

Model: https://tfhub.dev/google/yamnet (Apache-2.0), as TFLite with int8 weights. It serves for training only: no part
of it ships.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.errors import InputError
from device.model.classifier import interpreter_class
from device.types import Samples
from device.util.samples import to_float

SAMPLE_RATE = 16000
EMBEDDING = 1024
"""Dimensions of an embedding: the input of YAMNet's last layer."""
_WINDOW = 15600
"""Samples of one YAMNet window."""


class Teacher:
    """YAMNet's embedding and scores of whole windows. Not thread-safe.

    Args:
        model: yamnet.tflite.

    Raises:
        InputError: the file is missing or is another model.
    """

    def __init__(self, model: Path) -> None:
        try:
            # The embedding is an inner tensor: without this option, TFLite reuses its memory.
            self._interpreter = interpreter_class()(model_path=str(model), experimental_preserve_all_tensors=True)
            self._interpreter.allocate_tensors()
        except ValueError as error:
            raise InputError(f"{model}: not a TFLite model ({str(error).strip()}). Pass yamnet.tflite") from error
        self._input = self._interpreter.get_input_details()[0]
        self._scores = self._interpreter.get_output_details()[0]
        dense = [op for op in self._interpreter._get_ops_details() if op["op_name"] == "FULLY_CONNECTED"]
        if not dense or np.prod(self._input["shape"]) != _WINDOW:
            raise InputError(
                f"{model}: not YAMNet, which takes {_WINDOW} samples and ends with a dense layer. Pass yamnet.tflite"
            )
        self._embedding = int(dense[-1]["inputs"][0])

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """Return the mean embedding and the mean scores of the parts of a window.

        Args:
            samples: shape (n,), int16, at 16 kHz, at least 0.975 s.

        Returns:
            Shape (1024 + 521,), float32: the embedding, 0 and above, and the scores, 0 to 1.
        """
        signal = to_float(samples)
        count = len(signal) // _WINDOW
        starts = np.linspace(0, len(signal) - _WINDOW, count).astype(int)
        mean: NDArray[np.float32] = np.mean([self._part(signal[start : start + _WINDOW]) for start in starts], axis=0)
        return mean

    def _part(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input["index"], signal.reshape(self._input["shape"]))
        self._interpreter.invoke()
        tensors = (self._embedding, self._scores["index"])
        return np.concatenate([self._interpreter.get_tensor(tensor).ravel() for tensor in tensors])
