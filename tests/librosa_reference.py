"""librosa, the reference of the log-mel, imported without numba's compiler.

Its import compiles functions that no log-mel needs: in a fresh environment that takes 34 s of CPU time. A stand-in of
numba leaves them as they are, uncompiled.
"""

import importlib
import sys
from types import ModuleType

import pytest


def _as_it_is(*arguments, **_):
    """Decorate a function, with or without arguments, by nothing."""
    if len(arguments) == 1 and callable(arguments[0]):
        return arguments[0]
    return lambda function: function


class _Numba(ModuleType):
    """Stand-in of numba: all that librosa takes of it are decorators and types."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _as_it_is


def _import_librosa():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "numba", _Numba("numba"))
        librosa = importlib.import_module("librosa")
        _ = librosa.feature.melspectrogram, librosa.power_to_db, librosa.mel_frequencies  # loaded when they are named
    return librosa


librosa = _import_librosa()
