"""Tests of the pipeline with a long hang-over: pauses within an open gate."""

import time

import numpy as np
import pytest
from fake_bundle import score_log_mel
from support import make_bundle

from device.audio.resampling import BlockSplitter
from device.clips.recorder import Recorder
from device.clips.store import ClipFolder
from device.config.models import ClipsConfig, Config
from device.model.features import FeatureConfig
from device.pipeline import Pipeline
from device.types import Blocks

FEATURES = FeatureConfig()
RATE = FEATURES.sample_rate
START = round(time.time())


def low_or_high(log_mel):
    """Classify by comparing the lower half of the bands with the upper."""
    half = len(log_mel) // 2
    low, high = np.exp(8 * log_mel[:half].max()), np.exp(8 * log_mel[half:].max())
    return np.array([low, high], np.float32) / np.float32(low + high)


def tone(frequency, seconds):
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE) * 8000


def blocks(samples):
    """Yield the blocks of samples that are recorded now, because old clips are deleted."""
    for number, block in enumerate(BlockSplitter(RATE).feed(samples.astype(np.int16))):
        yield Blocks(block, 480 * number, START + 0.03 * number)


@pytest.mark.parametrize(("hangover_seconds", "smoothing_windows"), [(0.5, 3), (20.0, 1), (30.0, 3)])
def test_a_long_hangover_lengthens_no_event(tmp_path, hangover_seconds, smoothing_windows):
    """An event ends with its sound; another sound within the hang-over is an event of its own, and both have clips."""
    config = Config.model_validate(
        {
            "gate": {"vad_mode": None, "probe_seconds": None, "hangover_seconds": hangover_seconds},
            "events": {"smoothing_windows": smoothing_windows},
        }
    )
    samples = np.random.default_rng(0).normal(0, 3, 40 * RATE)
    samples[5 * RATE : 6 * RATE] += tone(300, 1)
    samples[24 * RATE : 25 * RATE] += tone(5000, 1)
    folder = ClipFolder(tmp_path / "clips")
    recorder = Recorder(ClipsConfig(keep_speech=True), folder, FEATURES, ("low", "high"), unknown_output=False)
    pipeline = Pipeline(config, make_bundle(FEATURES), score_log_mel(FEATURES, low_or_high), recorder)
    events = list(pipeline.run(blocks(samples)))
    assert [(e.type, e.label) for e in events] == [("start", "low"), ("end", "low"), ("start", "high"), ("end", "high")]
    times = [event.end_time or event.start_time for event in events]
    assert times == pytest.approx([START + at for at in (5, 6, 24, 25)], abs=0.2)
    assert sorted(clip.label for clip in folder.clips()) == ["high", "low"]


def test_a_sound_that_resumes_within_the_hangover_is_one_event():
    """The same label before and after a pause within the hang-over is one event, as the setting promises."""
    config = Config.model_validate({"gate": {"vad_mode": None, "probe_seconds": None, "hangover_seconds": 30}})
    samples = np.random.default_rng(0).normal(0, 3, 30 * RATE)
    samples[5 * RATE : 6 * RATE] += tone(300, 1)
    samples[20 * RATE : 21 * RATE] += tone(300, 1)
    pipeline = Pipeline(config, make_bundle(FEATURES), score_log_mel(FEATURES, low_or_high))
    start, end = pipeline.run(blocks(samples))
    assert (start.start_time, end.end_time) == (pytest.approx(START + 5, abs=0.2), pytest.approx(START + 21, abs=0.2))
