"""Tests of the pipeline with the AudioSet network: its probabilities, and the names of unknown sounds."""

import numpy as np
from tiny_bundle import CLASSES, fake_bundle

from device.config.models import Config
from device.pipeline import Pipeline, classify_clip
from device.types import BLOCK_SECONDS, Block, Observer, WindowScores

RATE = 16000
LENGTH = round(BLOCK_SECONDS * RATE)
CONFIG = Config.model_validate({"gate": {"vad_mode": None, "probe_seconds": None}})
PICTURE = np.zeros((8, 4), np.float32)


class Recorder(Observer):
    """Observer that keeps windows and refusals."""

    def __init__(self):
        self.windows, self.refusals = [], []

    def on_window(self, window):
        self.windows.append(window)

    def on_refusal(self, refusal):
        self.refusals.append(refusal)


def noisy_blocks():
    """Yield 9 s of blocks: 4 s of silence, then noise."""
    noise = np.random.default_rng(0).integers(-9000, 9000, LENGTH, np.int16)
    for number in range(300):
        samples = noise if number * BLOCK_SECONDS > 4 else np.zeros(LENGTH, np.int16)
        yield Block(samples, number * LENGTH, 1000 + number * BLOCK_SECONDS)


def test_classify_clip_averages_audioset_probabilities():
    """The probabilities of AudioSet's classes are the mean over the clip's windows."""
    rows = iter(np.arange(6, dtype=np.float32).reshape(3, 2))

    def classify(_samples):
        return WindowScores(np.zeros(2, np.float32), PICTURE, next(rows))

    _, audioset = classify_clip(np.zeros(6 * RATE, np.int16), 3 * RATE, classify)
    assert audioset.dtype == np.float32
    assert audioset.tolist() == [2.0, 3.0]


def test_a_refusal_of_an_unknown_sound_has_its_classes():
    """Refusals with the reason `unknown`, and no others, contain the three likeliest AudioSet classes."""
    audioset = np.linspace(0, 0.9, 527, dtype=np.float32)
    likeliest = tuple((CLASSES[number], round(float(audioset[number]), 4)) for number in (526, 525, 524))
    for scores, reason, expected in (([0.1, 0.1], "unknown", likeliest), ([0.4, 0.3], "below_threshold", ())):
        recorder, result = Recorder(), WindowScores(np.array(scores, np.float32), PICTURE, audioset)
        list(Pipeline(CONFIG, fake_bundle(), lambda _, r=result: r, recorder).run(noisy_blocks()))
        assert {refusal.reason for refusal in recorder.refusals} == {reason}
        assert {refusal.audioset for refusal in recorder.refusals} == {expected}
        assert recorder.windows[0].audioset is audioset


def test_without_the_audioset_network_a_refusal_has_no_classes():
    """A bundle without AudioSet's classes names no unknown sound."""
    recorder, result = Recorder(), WindowScores(np.zeros(2, np.float32), PICTURE)
    list(Pipeline(CONFIG, fake_bundle(networks=("inception",)), lambda _: result, recorder).run(noisy_blocks()))
    assert recorder.refusals
    assert {refusal.audioset for refusal in recorder.refusals} == {()}
