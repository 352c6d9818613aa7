"""Speech filter: keeps clips with possible speech off the disk."""

from collections import deque

import numpy as np
import webrtcvad

from device.types import BLOCK_SECONDS, ClassifiedWindow, Samples

_VAD_MODE = 3
"""webrtcvad's strictest mode."""
_VOICED, _BLOCKS = 10, 12
"""Number of voiced 30 ms blocks, among this number of successive blocks, that count as possible speech."""
_VOICE_SCORE = 0.1
"""Probability of a voice, or of `unknown`, from which a window may contain speech."""


class SpeechFilter:
    """Classifier of clips: may contain speech or not. Used from the pipeline's thread.

    webrtcvad mistakes most sirens and engines for voices, and the network has no label for speech. So both must agree.

    Args:
        labels: labels of the bundle.
        voice_labels: the labels whose sounds contain voices.
        sample_rate: Hz.
        unknown_output: whether the network has an output for `unknown`.
    """

    def __init__(
        self, labels: tuple[str, ...], voice_labels: tuple[str, ...], sample_rate: int, *, unknown_output: bool
    ) -> None:
        self._is_voice = np.array([label in voice_labels for label in labels])
        self._sample_rate = sample_rate
        self._unknown_output = unknown_output
        self._windows: deque[tuple[int, int, float]] = deque()

    def add_window(self, window: ClassifiedWindow, oldest: int) -> None:
        """Store a window's probability of a voice.

        Args:
            window: the next classified window.
            oldest: windows that end before this position are dropped.
        """
        unknown = 1.0 - float(window.scores.sum()) if self._unknown_output else 0.0
        voice_score = unknown + float(window.scores[self._is_voice].sum())
        self._windows.append((window.start, window.start + len(window.samples), voice_score))
        while self._windows[0][1] < oldest:
            self._windows.popleft()

    def may_contain_speech(self, samples: Samples, start: int, end: int) -> bool:
        """Return whether the sound at positions [start, end) may contain speech.

        Args:
            samples: shape (end - start,), int16.
            start: position of the first sample.
            end: position after the last sample.
        """
        overlapping = (score for first, last, score in self._windows if first < end and last > start)
        return max(overlapping, default=1.0) >= _VOICE_SCORE and has_voice(samples, self._sample_rate)


def has_voice(samples: Samples, sample_rate: int) -> bool:
    """Return whether webrtcvad classifies 10 of 12 successive blocks, 0.3 s of 0.36 s, as voiced.

    Args:
        samples: shape (n,), int16.
        sample_rate: Hz; 8000, 16000, 32000 or 48000.
    """
    vad = webrtcvad.Vad(_VAD_MODE)
    length = round(BLOCK_SECONDS * sample_rate)
    voiced: deque[bool] = deque(maxlen=_BLOCKS)
    for start in range(0, len(samples) - length + 1, length):
        voiced.append(vad.is_speech(samples[start : start + length].tobytes(), sample_rate))
        if sum(voiced) >= _VOICED:
            return True
    return False
