"""Fourier transforms of real rows in float32: SciPy's compiled pocketfft, without SciPy's Python packages.

`import scipy.fft` loads scipy.special and more: 13 to 25 MB of memory and 0.3 to 0.5 s of CPU time, and each call has
an overhead of 15 microseconds. Only its one compiled module is needed, which has no dependencies. numpy.fft is no
alternative: numpy 1 doubles float32, and numpy 2 takes nine times as long for a window.
"""

import importlib.machinery
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _load_pocketfft() -> Any:
    """Load the compiled module from SciPy's folder; where a version of SciPy has it elsewhere, return None."""
    scipy = importlib.util.find_spec("scipy")  # finds the folder and imports nothing
    for folder in (scipy.submodule_search_locations or []) if scipy else []:
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(folder) / "fft" / "_pocketfft" / f"pypocketfft{suffix}"
            spec = importlib.util.spec_from_file_location("pypocketfft", path) if path.is_file() else None
            if spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    return None


_POCKETFFT = _load_pocketfft()


def rfft(rows: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Transform each row, as `scipy.fft.rfft(rows, axis=1)` does, bit by bit.

    Args:
        rows: shape (n, length), float32.

    Returns:
        Shape (n, 1 + length // 2), complex64.
    """
    if _POCKETFFT is None:
        import scipy.fft

        spectrum: NDArray[np.complex64] = scipy.fft.rfft(rows, axis=1)
        return spectrum
    # Arguments: axes, forward, no normalization, no output array, one thread.
    transformed: NDArray[np.complex64] = _POCKETFFT.r2c(rows, (1,), True, 0, None, 1)
    return transformed


def irfft(spectrum: NDArray[np.complex64], length: int) -> NDArray[np.float32]:
    """Transform each row back, as `scipy.fft.irfft(spectrum, length, axis=1)` does, bit by bit.

    Args:
        spectrum: shape (n, 1 + length // 2), complex64.
        length: length of the result's rows.

    Returns:
        Shape (n, length), float32.
    """
    if _POCKETFFT is None:
        import scipy.fft

        rows: NDArray[np.float32] = scipy.fft.irfft(spectrum, length, axis=1)
        return rows
    # Arguments: axes, length, backward, divided by the length, no output array, one thread.
    transformed: NDArray[np.float32] = _POCKETFFT.c2r(spectrum, (1,), length, False, 2, None, 1)
    return transformed
