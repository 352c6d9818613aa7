"""YAMNet as the measure of cost: every 0.975 s of sound, in each runtime of TensorFlow Lite that is installed."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
from checkout import ROOT

from device.model.classifier import RUNTIMES

SHARED = Path(os.environ.get("EARSHOT_SHARED", ROOT.parent / "shared"))
"""Folder of recordings and networks of others, which are not part of the project."""
YAMNET = SHARED / "peers" / "yamnet.tflite"
YAMNET_SECONDS = 0.975
"""Length of YAMNet's window, s; its windows do not overlap."""


def runtimes() -> dict[str, ModuleType]:
    """Return the installed runtimes, the preferred one first."""
    found = {}
    for name, module in RUNTIMES.items():
        try:
            found[name] = importlib.import_module(module)
        except ImportError:  # not installed, or made for another numpy
            continue
    return found


def yamnet_work(path: Path, runtime: ModuleType | None = None) -> Callable[[], None]:
    """Return a function that runs YAMNet on one window of noise, on one thread.

    Args:
        path: yamnet.tflite.
        runtime: module with the interpreter; None for the preferred one.
    """
    runtime = runtime or next(iter(runtimes().values()))
    interpreter = runtime.Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    tensor = interpreter.get_input_details()[0]
    waveform = np.random.default_rng(0).normal(0, 0.1, tensor["shape"]).astype(np.float32)

    def work() -> None:
        interpreter.set_tensor(tensor["index"], waveform)
        interpreter.invoke()

    return work
