"""Windows of ambience that the device's gate lets through. False alarms are counted on them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio.files import read_samples
from device.config.models import Config
from device.model.bundle import Bundle
from device.model.clip_scoring import Classify
from device.model.features import FeatureConfig
from device.model.manifest import Threshold, Unknown
from device.model.manifest_network import Quantization
from device.model.manifest_v1 import Calibration, ManifestV1
from device.pipeline import Pipeline
from device.types import BLOCK_SECONDS, UNKNOWN, Blocks, ClassifiedWindow, Event, Observer, Samples, WindowScores
from training.data.array_cache import Arrays, Cache
from training.data.progress import progress
from training.data.windows import AMBIENCE_SECONDS, SampleWindows, WindowCutter

_GatedWindow = tuple[int, int, float]
"""Sample at which the gate opened, first sample of the window, and rise above the noise floor, dB."""


@dataclass(frozen=True)
class Ambience:
    """Windows of all ambience of a dataset, in order, with their positions.

    Attributes:
        windows: the n windows.
        span_start: shape (n,), int64, sample at which the gate opened; windows of one span share it.
        start: shape (n,), int64, first sample of each window.
        rise_db: shape (n,), float64, rise above the noise floor, dB.
        seconds: shape (clips,), float64, duration of each clip of the dataset; 0 for a clip that is not ambience.
    """

    windows: SampleWindows
    span_start: NDArray[np.int64]
    start: NDArray[np.int64]
    rise_db: NDArray[np.float64]
    seconds: NDArray[np.float64]


def gate_ambience(cutter: WindowCutter, cache: Cache) -> Ambience:
    """Run each ambience through the gate of a fresh install and return the windows that it lets through.

    No network is needed: the gate works before classification.

    Args:
        cutter: dataset, sample rate and length of a window. The dataset's negatives of at least 10 s are the ambience.
        cache: stores the windows' positions.

    Raises:
        InputError: a clip is unreadable.
    """
    dataset, rate, length = cutter.dataset, cutter.sample_rate, cutter.window_length
    negatives = [number for number, clip in enumerate(dataset.clips) if clip.label == UNKNOWN]

    def compute() -> Arrays:
        seconds = np.zeros(len(dataset.clips))
        windows: list[tuple[int, _GatedWindow]] = []
        paths = [dataset.clips[number].path for number in negatives]
        results = cutter.workers.map(partial(_gate_maker, rate, length), paths)
        for number, (duration, found) in zip(
            negatives, progress(results, len(paths), "ambience through the gate"), strict=True
        ):
            seconds[number] = duration
            windows += [(number, window) for window in found]
        return {
            "clip": np.array([number for number, _ in windows], np.int32),
            "sound": np.array([span_start for _, (span_start, _, _) in windows], np.int64),
            "start": np.array([start for _, (_, start, _) in windows], np.int64),
            "rise_db": np.array([rise_db for _, (_, _, rise_db) in windows], np.float64),
            "seconds": seconds,
        }

    config = Config()
    stages = {"gate": config.gate.model_dump(), "window": config.window.model_dump()}
    key = {"clips": cutter.digests, "negatives": negatives, "rate": rate, "length": length, **stages}
    arrays = cache.arrays("ambience", key, compute)
    clip, start = arrays["clip"], arrays["start"]

    def samples(rows: NDArray[np.intp]) -> Iterator[Samples]:
        for number in np.unique(clip[rows]):
            recording = np.pad(read_samples(dataset.clips[number].path, rate), (length, length))
            for row in rows[clip[rows] == number]:
                yield recording[start[row] + length :][:length]

    return Ambience(
        SampleWindows(clip, samples, {"ambience": key}), arrays["sound"], start, arrays["rise_db"], arrays["seconds"]
    )


def _gate_maker(rate: int, length: int) -> Callable[[Path], tuple[float, list[_GatedWindow]]]:
    """Return the function from a file to its seconds, 0 for one that is not ambience, and the gate's windows."""
    bundle = _placeholder_bundle(rate, length)
    silence = WindowScores(np.zeros(1, np.float32), np.zeros((1, 1), np.float32))

    def gate(path: Path) -> tuple[float, list[_GatedWindow]]:
        samples = read_samples(path, rate)
        if len(samples) < AMBIENCE_SECONDS * rate:
            return 0.0, []
        _, windows = run_pipeline(samples, bundle, lambda _: silence)
        return len(samples) / rate, [(window.span_start, window.start, window.rise_db) for window in windows]

    return gate


def run_pipeline(
    samples: Samples, bundle: Bundle, classify: Classify, classify_look: Classify | None = None
) -> tuple[list[Event], Sequence[ClassifiedWindow]]:
    """Run the device's pipeline over samples, with the settings of a fresh install.

    Args:
        samples: shape (n,), int16, at the bundle's sample rate.
        bundle: labels, features, thresholds.
        classify: scores a window of live sound, from its samples.
        classify_look: scores an early look; None for `classify`.

    Returns:
        Event messages, with times in seconds since the first sample; and the classified windows.
    """
    recorder = _WindowRecorder()
    pipeline = Pipeline(Config(), bundle, classify, recorder, classify_look=classify_look)
    return list(pipeline.run(blocks_of(samples, bundle.sample_rate))), recorder.windows


class _WindowRecorder(Observer):
    def __init__(self) -> None:
        self.windows: list[ClassifiedWindow] = []

    def on_window(self, look: ClassifiedWindow) -> None:
        self.windows.append(look)


def blocks_of(samples: Samples, rate: int) -> Iterator[Blocks]:
    """Yield the whole blocks of samples, shape (n,), int16, at a rate, Hz, with times from the first sample."""
    length = round(BLOCK_SECONDS * rate)
    for start in range(0, len(samples) - length + 1, length):
        yield Blocks(samples[start : start + length], start, start / rate)


def _placeholder_bundle(rate: int, window_length: int) -> Bundle:
    """Return a bundle without files, for the gate alone: its network is not trained yet."""
    return Bundle(
        Path(),
        ManifestV1(
            format_version=1,
            name="placeholder",
            version="0",
            labels=("none",),
            features=FeatureConfig(sample_rate=rate, window_seconds=window_length / rate, fmax=rate / 2),
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
