"""Windows of ambience behind the gate."""

import numpy as np
import pytest
import soundfile

from device.model.features import FeatureConfig
from training.data.ambience import gate_ambience
from training.data.array_cache import Cache
from training.data.dataset import Clip, Dataset

RATE = 16000
FEATURES = FeatureConfig(sample_rate=RATE)


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
    found = gate_ambience(place, FEATURES, Cache(tmp_path / "cache"), {})
    assert found.seconds.tolist() == [0, 0, 30]
    assert set(found.windows.clip.tolist()) == {2}
    opened = sorted(set(found.span_start.tolist()))
    assert [pytest.approx(second * RATE, abs=0.3 * RATE) for second in (8, 20)] == opened
    for sound in opened:
        rows = found.span_start == sound
        assert set(np.diff(found.start[rows]).tolist()) <= {RATE}
        assert found.rise_db[rows].max() > 30


def test_without_ambience_there_is_no_window(place, tmp_path):
    """Without a long negative there are no windows and no seconds, and nothing fails."""
    bare = Dataset("bare", place.labels, place.clips[:2], "")
    found = gate_ambience(bare, FEATURES, Cache(tmp_path / "cache"), {})
    assert (len(found.windows), found.seconds.sum()) == (0, 0)
    assert found.windows.quantized.shape == (0, *FEATURES.shape)
