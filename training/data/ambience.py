"""Windows of ambience that the device's gate lets through. False alarms are counted on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio.files import read_samples
from device.config.models import Config
from device.model.bundle import Bundle
from device.model.features import FeatureConfig, log_mel
from device.model.manifest import Threshold, Unknown
from device.model.manifest_network import Quantization
from device.model.manifest_v1 import Calibration, ManifestV1
from device.pipeline import Classify, Pipeline
from device.types import BLOCK_SECONDS, UNKNOWN, Block, ClassifiedWindow, Event, Observer, Samples, WindowScores
from training.data.array_cache import Arrays, Cache
from training.data.dataset import Dataset
from training.data.progress import progress
from training.data.spectrograms import AMBIENCE_SECONDS, Spectrograms, quantize


@dataclass(frozen=True)
class Ambience:
    """Windows of all ambience of a dataset, in order, with their positions.

    Attributes:
        windows: log-mels of the n windows.
        span_start: shape (n,), int64, sample at which the gate opened; windows of one span share it.
        start: shape (n,), int64, first sample of each window.
        rise_db: shape (n,), float64, rise above the noise floor, dB.
        seconds: shape (clips,), float64, duration of each clip of the dataset; 0 for a clip that is not ambience.
    """

    windows: Spectrograms
    span_start: NDArray[np.int64]
    start: NDArray[np.int64]
    rise_db: NDArray[np.float64]
    seconds: NDArray[np.float64]


def gate_ambience(dataset: Dataset, features: FeatureConfig, cache: Cache, key: dict[str, object]) -> Ambience:
    """Run each ambience through the gate of a fresh install and return the windows that it lets through.

    No network is needed: the gate works before classification.

    Args:
        dataset: its negatives of at least 10 s are the ambience.
        features: configuration of the log-mels.
        cache: stores the windows.
        key: everything that the windows depend on, as JSON.

    Raises:
        InputError: a clip is unreadable.
    """
    negatives = [number for number, clip in enumerate(dataset.clips) if clip.label == UNKNOWN]

    def compute() -> Arrays:
        seconds = np.zeros(len(dataset.clips))
        windows: list[tuple[int, ClassifiedWindow]] = []
        bundle = _placeholder_bundle(features)

        def classify(samples: Samples) -> WindowScores:
            return WindowScores(np.zeros(1, np.float32), log_mel(samples, features))

        for number in progress(negatives, len(negatives), "ambience through the gate"):
            samples = read_samples(dataset.clips[number].path, features.sample_rate)
            if len(samples) >= AMBIENCE_SECONDS * features.sample_rate:
                seconds[number] = len(samples) / features.sample_rate
                _, classified_windows = run_pipeline(samples, bundle, classify)
                windows += [(number, window) for window in classified_windows]
        log_mels = [quantize(window.log_mel) for _, window in windows]
        return {
            "quantized": np.stack(log_mels) if windows else np.zeros((0, *features.shape), np.int8),
            "clip": np.array([number for number, _ in windows], np.int32),
            "sound": np.array([window.span_start for _, window in windows], np.int64),
            "start": np.array([window.start for _, window in windows], np.int64),
            "rise_db": np.array([window.rise_db for _, window in windows], np.float64),
            "seconds": seconds,
        }

    key = {**key, "negatives": negatives}
    arrays = cache.arrays("ambience", key, compute)
    clip = arrays["clip"]
    windows = Spectrograms(arrays["quantized"], clip, np.zeros_like(clip), {"ambience": key})
    return Ambience(windows, arrays["sound"], arrays["start"], arrays["rise_db"], arrays["seconds"])


def run_pipeline(
    samples: Samples, bundle: Bundle, classify: Classify
) -> tuple[list[Event], Sequence[ClassifiedWindow]]:
    """Run the device's pipeline over samples, with the settings of a fresh install.

    Args:
        samples: shape (n,), int16, at the bundle's sample rate.
        bundle: labels, features, thresholds.
        classify: scores a window of live sound, from its samples.

    Returns:
        Event messages, with times in seconds since the first sample; and the classified windows.
    """
    recorder = _WindowRecorder()
    return list(
        Pipeline(Config(), bundle, classify, recorder).run(_blocks(samples, bundle.sample_rate))
    ), recorder.windows


class _WindowRecorder(Observer):
    def __init__(self) -> None:
        self.windows: list[ClassifiedWindow] = []

    def on_window(self, look: ClassifiedWindow) -> None:
        self.windows.append(look)


def _blocks(samples: Samples, sample_rate: int) -> Iterator[Block]:
    length = round(BLOCK_SECONDS * sample_rate)
    for start in range(0, len(samples) - length + 1, length):
        yield Block(samples[start : start + length], start, start / sample_rate)


def _placeholder_bundle(features: FeatureConfig) -> Bundle:
    """Return a bundle without files, for the gate alone: its network is not trained yet."""
    return Bundle(
        Path(),
        ManifestV1(
            format_version=1,
            name="placeholder",
            version="0",
            labels=("none",),
            features=features,
            input=Quantization(scale=1.0, zero_point=0),
            output=Quantization(scale=1.0, zero_point=0),
            calibration=Calibration(temperature=1.0),
            thresholds={"none": Threshold(threshold=1.0, false_alarms_per_hour=0.0)},
            unknown=Unknown(output=True, min_confidence=0.0),
            training={},
            accuracy={},
            sha256="",
            golden_sha256="",
            manifest_sha256="",
        ).upgraded(),
    )
