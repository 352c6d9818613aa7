"""Scoring of whole clips: their windows, and the mean of the windows' scores."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from device.types import Probabilities, Samples, WindowScores

Classify = Callable[[Samples], WindowScores]
"""Function from the samples of a window, shape (window_length,), int16, to its scores."""


def clip_windows(samples: Samples, window_length: int) -> NDArray[np.int16]:
    """Cut a whole clip into windows, as `earshot classify` and the trainer's evaluation do.

    Args:
        samples: shape (n,), int16, n at least 1.
        window_length: length of a window, samples.

    Returns:
        Shape (windows, window_length), int16. Zeros follow a clip that is shorter than a window. A longer clip
        is cut every half window, and its last window ends with the clip.
    """
    if len(samples) <= window_length:
        return np.pad(samples, (0, window_length - len(samples)))[np.newaxis]
    last = len(samples) - window_length
    starts = sorted({*range(0, last, window_length // 2), last})
    return np.stack([samples[start : start + window_length] for start in starts])


def classify_clip(
    samples: Samples, window_length: int, classify: Classify
) -> tuple[Probabilities, NDArray[np.float32] | None]:
    """Compute the mean scores of a clip's windows (see `clip_windows`).

    Args:
        samples: shape (n,), int16, n at least 1.
        window_length: length of a window, samples.
        classify: scores a window of a clip, from its samples.

    Returns:
        Mean scores, shape (labels,), float32; and the mean probabilities of AudioSet's classes, shape (527,), float32,
        or None without the AudioSet network.
    """
    results = [classify(window) for window in clip_windows(samples, window_length)]
    scores = np.mean([result.scores for result in results], axis=0, dtype=np.float32)
    audioset = [result.audioset for result in results if result.audioset is not None]
    classes = np.asarray(np.mean(audioset, axis=0, dtype=np.float32), np.float32) if audioset else None
    return np.asarray(scores, np.float32), classes
