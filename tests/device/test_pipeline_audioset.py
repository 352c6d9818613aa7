"""Tests of the pipeline with the AudioSet network: its probabilities, and the names of unknown sounds."""

import numpy as np
from tiny_bundle import CLASSES, fake_bundle, write_tiny_bundle

from device.config.models import Config
from device.model.clip_scoring import classify_clip
from device.pipeline import Pipeline
from device.service.runtime import open_bundle
from device.types import BLOCK_SECONDS, Blocks, Observer, WindowScores

RATE = 16000
LENGTH = round(BLOCK_SECONDS * RATE)
CONFIG = Config.model_validate({"gate": {"vad_mode": None, "probe_seconds": None}})
PICTURE = np.zeros((8, 4), np.float32)


class Recorder(Observer):
    """Observer that keeps windows, refusals, and the gate's state at each block."""

    def __init__(self):
        self.windows, self.refusals, self.gates = [], [], []

    def on_block(self, _seconds, gate):
        self.gates.append(gate)

    def on_window(self, window):
        self.windows.append(window)

    def on_refusal(self, refusal):
        self.refusals.append(refusal)


def noise():
    """Return a block of noise."""
    return np.random.default_rng(0).integers(-9000, 9000, LENGTH, np.int16)


def noisy_blocks(seconds=9):
    """Yield blocks: 4 s of silence, then noise."""
    loud = noise()
    for number in range(round(seconds / BLOCK_SECONDS)):
        samples = loud if number * BLOCK_SECONDS > 4 else np.zeros(LENGTH, np.int16)
        yield Blocks(samples, number * LENGTH, 1000 + number * BLOCK_SECONDS)


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


def test_a_configured_class_is_an_event_that_keeps_the_gate_open():
    """An unknown sound of a configured class is an event, and the gate is open while it sounds; else it is learned."""
    audioset = np.zeros(527, np.float32)
    audioset[CLASSES.index("Typewriter")] = 0.8
    result = WindowScores(np.array([0.1, 0.1], np.float32), PICTURE, audioset)
    open_blocks = {}
    for threshold, expected in ((0.5, ["start", "end"]), (0.9, [])):
        recorder = Recorder()
        config = CONFIG.model_copy(
            update={"events": CONFIG.events.model_copy(update={"audioset": {"Typewriter": threshold}})}
        )
        events = list(Pipeline(config, fake_bundle(), lambda _: result, recorder).run(noisy_blocks(30)))
        assert [event.type for event in events] == expected
        assert {(event.label, event.slug, event.vocabulary) for event in events} <= {
            ("Typewriter", "typewriter", "audioset")
        }
        open_blocks[threshold] = sum(gate is not None for gate in recorder.gates)
    assert open_blocks[0.5] * BLOCK_SECONDS > 25
    assert open_blocks[0.9] * BLOCK_SECONDS < 15


def test_the_networks_of_a_bundle_detect_a_configured_class(tmp_path):
    """The real networks of a bundle make events of a configured class, from sound to event."""
    bundle, ensemble = open_bundle(write_tiny_bundle(tmp_path / "bundle"))
    probabilities = ensemble.classify_live(np.tile(noise(), 200)[: bundle.window_length]).audioset
    likeliest = bundle.audioset_classes[int(probabilities.argmax())]
    events = {"audioset": {likeliest: round(float(probabilities.max()) * 0.8, 4)}}
    config = Config.model_validate({"gate": {"vad_mode": None, "probe_seconds": None}, "events": events})
    names = [event.label for event in Pipeline(config, bundle, ensemble.classify_live).run(noisy_blocks())]
    assert names.count(likeliest) >= 2
