"""Frequency weighting: filters for A and C of IEC 61672-1, applied in the Fourier domain.

The magnitude of a filter is exact up to half the sample rate, since no bilinear transform warps it. Its phase is the
minimum phase, which the standard leaves open. The filter is cut after 0.064 s, which changes its gain by 0.25 dB at
10 Hz and by less than 0.05 dB from 12.5 Hz upwards. Samples are convolved by overlap-save, which is exact convolution.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from device.types import Samples
from device.util.fft import irfft, rfft
from device.util.samples import to_float

Weighting = Literal["A", "C"]

_F1, _F2, _F3, _F4 = 20.598997, 107.65265, 737.86223, 12194.217
"""Pole frequencies, Hz (IEC 61672-1:2013, annex E)."""
_IMPULSE_SECONDS = 0.064
_DESIGN_SECONDS = 4.0
"""Length of the design grid, s: 0.25 Hz between frequencies, so that the impulse response does not overlap itself."""
_LEAST_GAIN = 1e-8
"""Gain in place of zero at 0 Hz, whose logarithm would be infinite."""
_BATCH_FRAMES = 8
"""Frames that are transformed together: pocketfft computes four rows of float32 at once."""


def weighting_db(frequencies: NDArray[np.float64], weighting: Weighting) -> NDArray[np.float64]:
    """Compute the weighting at frequencies above 0 Hz, dB, 0 at 1 kHz (IEC 61672-1:2013, equations E.1 and E.6)."""
    return np.asarray(20 * np.log10(_gain(np.asarray(frequencies, np.float64), weighting)), np.float64)


def _gain(frequencies: NDArray[np.float64], weighting: Weighting) -> NDArray[np.float64]:
    """Compute the gain at frequencies, Hz: 1 at 1 kHz."""
    return _shape(frequencies**2, weighting) / _shape(np.array([1e6]), weighting)


def _shape(squares: NDArray[np.float64], weighting: Weighting) -> NDArray[np.float64]:
    """Compute the gain at squared frequencies, but for a constant factor."""
    gain = squares / ((squares + _F1**2) * (squares + _F4**2))
    if weighting == "A":
        gain = gain * squares / np.sqrt((squares + _F2**2) * (squares + _F3**2))
    return gain


def impulse_response(sample_rate: int, weighting: Weighting) -> NDArray[np.float64]:
    """Design the minimum-phase filter of a weighting from its cepstrum (Oppenheim and Schafer, chapter 13).

    Args:
        sample_rate: Hz.
        weighting: "A" or "C".

    Returns:
        Shape (0.064 s of samples,), float64.
    """
    length = 2 * round(_DESIGN_SECONDS * sample_rate / 2)
    gain = np.maximum(_gain(np.fft.rfftfreq(length, 1 / sample_rate), weighting), _LEAST_GAIN)
    cepstrum = np.fft.irfft(np.log(gain), length)
    cepstrum[1 : length // 2] *= 2  # fold the anticausal half onto the causal one
    cepstrum[length // 2 + 1 :] = 0
    response = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)), length)
    return np.asarray(response[: round(_IMPULSE_SECONDS * sample_rate)])


class WeightingFilter:
    """Stream of samples to A- and optionally C-weighted samples, by overlap-save.

    The sample before the first one is taken as its equal, so that a constant offset of a sound card causes no click.

    Args:
        sample_rate: Hz.
        step: samples come out in multiples of this number.
        weightings: "A", or "AC" for both.

    Attributes:
        waiting: number of samples that were fed and did not come out yet.
    """

    def __init__(self, sample_rate: int, step: int, weightings: Literal["A", "AC"] = "A") -> None:
        responses = [impulse_response(sample_rate, "A")]
        if "C" in weightings:
            responses.append(impulse_response(sample_rate, "C"))
        taps = len(responses[0])
        length = 1 << (4 * taps - 1).bit_length()
        self._length, self._step = length, step
        self._hop = (length - taps + 1) // step * step
        self._spectra = np.fft.rfft(np.stack(responses), length, axis=1).astype(np.complex64)
        self._past: NDArray[np.float32] | None = None
        self._waiting: list[Samples] = []
        self.waiting = 0

    def feed(self, samples: Samples) -> NDArray[np.float32] | None:
        """Add samples, shape (n,), int16. Return weighted ones, full scale 1.

        Returns:
            Shape (weightings, m), float32. None until enough samples wait: most blocks only join the queue.
        """
        self._waiting.append(samples)
        self.waiting += len(samples)
        if self.waiting < _BATCH_FRAMES * self._hop:
            return None
        return self._filter(self.waiting // self._hop * self._hop)

    def drain(self) -> NDArray[np.float32] | None:
        """Return the weighted samples of all whole steps that wait, shape (weightings, m); None without any."""
        return self._filter(self.waiting // self._step * self._step) if self.waiting >= self._step else None

    def restart(self) -> None:
        """Drop what waits, and begin anew after a gap of the stream."""
        self._past, self._waiting, self.waiting = None, [], 0

    def _filter(self, count: int) -> NDArray[np.float32]:
        """Weight the first `count` samples that wait, at least one."""
        waiting = np.concatenate(self._waiting)
        fresh = to_float(waiting[:count])
        overlap = self._length - self._hop
        past = np.full(overlap, fresh[0], np.float32) if self._past is None else self._past
        frames = -(-count // self._hop)
        signal = np.concatenate([past, fresh, np.zeros(frames * self._hop - count, np.float32)])
        rows = np.empty((frames, self._length), np.float32)
        for index, row in enumerate(rows):
            row[:] = signal[index * self._hop : index * self._hop + self._length]
        spectrum = rfft(rows)
        weighted = np.empty((len(self._spectra), frames, self._hop), np.float32)
        for target, each in zip(weighted, self._spectra, strict=True):
            target[:] = irfft(spectrum * each, self._length)[:, overlap:]
        self._past = np.concatenate([past, fresh])[-overlap:]
        self._waiting, self.waiting = [waiting[count:]], len(waiting) - count
        return weighted.reshape(len(weighted), -1)[:, :count]
