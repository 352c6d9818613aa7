"""Windows of ambience behind the gate."""

import numpy as np
import pytest
import soundfile

from device.audio.files import read_samples
from device.config.models import Config
from training.data import ambience
from training.data.ambience import gate_ambience
from training.data.array_cache import Cache
from training.data.augmentation import AugmentConfig
from training.data.dataset import Clip, Dataset
from training.data.windows import WindowCutter

RATE = 16000
LENGTH = 3 * RATE
SHUT = Config.model_validate(
    {
        "gate": {
            "vad_mode": None,
            "probe_seconds": None,
            "floor": {"level_db": 60, "maximum_db": 100, "lasting_share": 1},
        }
    }
)
"""A gate that opens for no sound of the place."""


def cutter_of(dataset):
    """Return the windows of a dataset."""
    return WindowCutter(dataset, RATE, LENGTH, AugmentConfig(), 0)


@pytest.fixture
def place(tmp_path) -> Dataset:
    """Thirty seconds of noise with two hums as ambience; a short negative; a clip of a label."""
    noise = 0.002 * np.random.default_rng(3).normal(size=30 * RATE)
    hum = 0.3 * np.sin(2 * np.pi * 500 * np.arange(2 * RATE) / RATE)
    for second in (8, 20):
        noise[second * RATE : (second + 2) * RATE] += hum
    soundfile.write(tmp_path / "place.wav", noise, RATE)
    soundfile.write(tmp_path / "short.wav", hum, RATE)
    clips = [Clip(tmp_path / f"{name}.wav", label, name, 1) for name, label in (("short", "a"), ("short", "unknown"))]
    return Dataset("place", ("a",), (*clips, Clip(tmp_path / "place.wav", "unknown", "place", 1)), "")


def test_the_gate_opens_on_sounds_in_ambience(place, tmp_path):
    """Each hum is a span of windows a second apart, far above the noise floor; short negatives are skipped."""
    found = gate_ambience(cutter_of(place), Cache(tmp_path / "cache"))
    assert found.seconds.tolist() == [0, 0, 30]
    assert set(found.windows.clip.tolist()) == {2}
    opened = sorted(set(found.span_start.tolist()))
    assert [pytest.approx(second * RATE, abs=0.3 * RATE) for second in (8, 20)] == opened
    for sound in opened:
        rows = found.span_start == sound
        assert set(np.diff(found.start[rows]).tolist()) <= {RATE}
        assert found.rise_db[rows].max() > 30
    recording = read_samples(tmp_path / "place.wav", RATE)
    cut = list(found.windows.samples(np.arange(len(found.start))))
    for start, samples in zip(found.start, cut, strict=True):
        assert np.array_equal(samples, recording[start : start + LENGTH])


def test_without_ambience_there_is_no_window(place, tmp_path):
    """Without a long negative there are no windows and no seconds, and nothing fails."""
    bare = Dataset("bare", place.labels, place.clips[:2], "")
    found = gate_ambience(cutter_of(bare), Cache(tmp_path / "cache"))
    assert (len(found.windows.clip), found.seconds.sum()) == (0, 0)
    assert list(found.windows.samples(np.array([], np.intp))) == []


def test_another_gate_computes_its_own_windows(place, tmp_path, monkeypatch):
    """The cache keeps the windows of one gate apart from those of another, and returns those of the same gate."""
    cache = Cache(tmp_path / "cache")
    usual = gate_ambience(cutter_of(place), cache)
    monkeypatch.setattr(ambience, "Config", lambda: SHUT)
    shut = gate_ambience(cutter_of(place), cache)
    assert len(usual.start) > len(shut.start)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    monkeypatch.undo()
    assert np.array_equal(gate_ambience(cutter_of(place), cache).start, usual.start)
    assert len(list((tmp_path / "cache").iterdir())) == 2
