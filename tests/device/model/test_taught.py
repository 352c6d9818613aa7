"""Tests of taught sounds: detectors, competition of labels, exclusions."""

import numpy as np
import pytest

from device.model.sound_names import sound_names
from device.model.taught import Detector, TaughtSounds, sphere

MEAN, SCALE = np.zeros(4, np.float32), np.ones(4, np.float32)
EAST, NORTH = np.array([1, 0, 0, 0], np.float32), np.array([0, 1, 0, 0], np.float32)


def detector(direction, bias=-3.0):
    """Return a detector of a direction: cosine 1 has the probability 0.95, cosine 0 has 0.05."""
    return Detector(MEAN, SCALE, 3.0 * direction, bias)


def test_the_length_of_an_embedding_does_not_matter():
    """On the sphere, an embedding and its double are the same; zeros stay finite."""
    rows = sphere(np.stack([EAST, 2 * EAST, 0 * EAST]), MEAN, SCALE)
    np.testing.assert_allclose(rows[0], rows[1])
    assert rows[0] @ rows[0] == pytest.approx(4)
    assert np.isfinite(rows).all()


def test_taught_labels_compete():
    """The likeliest label keeps its mean over the windows; another gets at most what it leaves to 1."""
    taught = TaughtSounds({"bell": detector(EAST), "chime": detector(EAST, -3.5), "owl": detector(NORTH)}, {})
    probabilities = taught.probabilities([EAST, EAST])
    assert probabilities["bell"] == pytest.approx(0.9526, abs=1e-4)
    assert probabilities["chime"] == pytest.approx(1 - 0.9526, abs=1e-4)
    assert probabilities["owl"] == pytest.approx(0.0474, abs=1e-4)
    assert taught.probabilities([EAST, NORTH])["bell"] == pytest.approx(0.5, abs=1e-3)
    assert taught.probabilities([EAST, NORTH], [3.0, 1.0])["bell"] > 0.7


def test_only_the_sounds_of_an_exclusion_are_excluded():
    """A name is excluded in windows that its detector detects, and no name without a detector is."""
    taught = TaughtSounds({}, {"siren": detector(EAST)})
    assert taught.excluded(["siren", "dog_bark"], [EAST]) == {"siren"}
    assert taught.excluded(["siren", "dog_bark"], [NORTH]) == set()


def test_a_class_with_the_name_of_a_taught_label_has_another_slug():
    """The taught label keeps its topic; the AudioSet class gets the prefix."""
    assert [name.slug for name in sound_names(["siren"], ["Doorbell"], taught=["doorbell"])] == [
        "siren",
        "doorbell",
        "audioset_doorbell",
    ]
