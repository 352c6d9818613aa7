"""What the device looks at in ambience: the windows that its gate lets through. False alarms are counted on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio.files import read_samples
from device.config.models import Config
from device.model.bundle import FORMAT_VERSION, Bundle, Calibration, Manifest, Quantization, Threshold, Unknown
from device.model.features import FeatureConfig, Samples
from device.pipeline import Classify, Pipeline
from device.types import BLOCK_SECONDS, UNKNOWN, Block, Event, Look, Observer
from training.data.array_cache import Arrays, Cache
from training.data.dataset import Dataset
from training.data.progress import progress
from training.data.spectrograms import AMBIENCE_SECONDS, Spectrograms, quantize


@dataclass(frozen=True)
class Ambience:
    """Windows of all ambience of a dataset, in their order, and where they lie.

    Attributes:
        windows: n of them.
        span_start: shape (n,), int64, where the gate opened: windows of one sounding share it.
        start: shape (n,), int64, first sample.
        rise_db: shape (n,), float64, above the noise floor.
        seconds: shape (clips,), float64, of each of the dataset's clips; 0 for one that is no ambience.
    """

    windows: Spectrograms
    span_start: NDArray[np.int64]
    start: NDArray[np.int64]
    rise_db: NDArray[np.float64]
    seconds: NDArray[np.float64]


def gate_ambience(dataset: Dataset, features: FeatureConfig, cache: Cache, key: dict[str, object]) -> Ambience:
    """Let the gate of a fresh install, behind which nothing has a name, hear each ambience.

    Args:
        dataset: whose negatives of at least 10 s are the ambience.
        features: of the windows.
        cache: keeps the windows.
        key: what they depend on.

    Raises:
        InputError: a clip is unreadable.
    """
    negatives = [number for number, clip in enumerate(dataset.clips) if clip.label == UNKNOWN]

    def compute() -> Arrays:
        seconds = np.zeros(len(dataset.clips))
        windows: list[tuple[int, Look]] = []
        bundle = _placeholder_bundle(features)
        for number in progress(negatives, len(negatives), "ambience through the gate"):
            samples = read_samples(dataset.clips[number].path, features.sample_rate)
            if len(samples) >= AMBIENCE_SECONDS * features.sample_rate:
                seconds[number] = len(samples) / features.sample_rate
                _, classified_windows = run_pipeline(samples, bundle, lambda _: np.zeros(1, np.float32))
                windows += [(number, look) for look in classified_windows]
        log_mels = [quantize(look.log_mel) for _, look in windows]
        return {
            "quantized": np.stack(log_mels) if windows else np.zeros((0, *features.shape), np.int8),
            "clip": np.array([number for number, _ in windows], np.int32),
            "sound": np.array([look.sound_start for _, look in windows], np.int64),
            "start": np.array([look.start for _, look in windows], np.int64),
            "rise_db": np.array([look.rise_db for _, look in windows], np.float64),
            "seconds": seconds,
        }

    key = {**key, "negatives": negatives}
    arrays = cache.arrays("ambience", key, compute)
    clip = arrays["clip"]
    windows = Spectrograms(arrays["quantized"], clip, np.zeros_like(clip), {"ambience": key})
    return Ambience(windows, arrays["sound"], arrays["start"], arrays["rise_db"], arrays["seconds"])


def run_pipeline(samples: Samples, bundle: Bundle, classify: Classify) -> tuple[list[Event], Sequence[Look]]:
    """Let the pipeline, with the settings of a fresh install, hear samples, as if a recording were played to it.

    Args:
        samples: shape (n,), int16, at the bundle's sample rate.
        bundle: labels, features, thresholds.
        classify: its network.

    Returns:
        Event messages, times in seconds since the first sample; and the windows that the network saw.
    """
    recorder = _WindowRecorder()
    return list(Pipeline(Config(), bundle, classify, recorder).run(_blocks(samples, bundle.features))), recorder.windows


class _WindowRecorder(Observer):
    def __init__(self) -> None:
        self.windows: list[Look] = []

    def classified(self, look: Look) -> None:
        self.windows.append(look)


def _blocks(samples: Samples, features: FeatureConfig) -> Iterator[Block]:
    length = round(BLOCK_SECONDS * features.sample_rate)
    for start in range(0, len(samples) - length + 1, length):
        yield Block(samples[start : start + length], start, start / features.sample_rate)


def _placeholder_bundle(features: FeatureConfig) -> Bundle:
    """A bundle without files, which names nothing: its network is yet to be trained."""
    return Bundle(
        Path(),
        Manifest(
            format_version=FORMAT_VERSION,
            name="deaf",
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
        ),
    )
