"""Tests of the learning of a sound, on synthesised embeddings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.teaching.learning import learn
from device.teaching.negatives import Negatives, as_negatives, join

LENGTH = 32


def clips(direction, count=5, spread=0.3, seed=0, windows=4):
    """Return the embeddings of clips around a direction."""
    random = np.random.default_rng(seed)
    center = np.zeros(LENGTH)
    center[direction] = 6.0
    return [
        (center + random.normal(0, 1, LENGTH) * spread + random.normal(0, spread, (windows, LENGTH))).astype(np.float16)
        for _ in range(count)
    ]


def background(recordings=20, seed=1):
    """Return negatives: recordings of thirty windows each, all ambience."""
    random = np.random.default_rng(seed)
    rows = random.normal(0, 1, (30 * recordings, LENGTH)).astype(np.float16)
    names = tuple(f"ambient/{number}" for number in range(recordings))
    return Negatives(rows, np.repeat(np.arange(recordings), 30), names, np.ones(len(rows), np.bool_))


def test_a_distinct_sound_is_learned():
    """Each clip is recognized when it is left out, new clips are detected, and the ambience has no false alarm."""
    lesson = learn(clips(0), background())
    assert lesson.recognized == (True,) * 5
    assert (lesson.false_alarms, lesson.ambience_windows) == (0, 600)
    assert all(lesson.detector.probabilities(clip).mean() > 0.5 for clip in clips(0, seed=9))
    assert not any(lesson.detector.probabilities(clip).mean() > 0.5 for clip in clips(1, seed=9))


def test_a_sound_that_the_negatives_contain_is_not_recognized():
    """Clips like a negative stay below the threshold, and the nearest negative is that one."""
    same = as_negatives("the taught label bell", [("ring", rows) for rows in clips(0, count=8, seed=5)])
    lesson = learn(clips(0), join([background(), same]))
    assert sum(lesson.recognized) < 3
    assert lesson.nearest == "the taught label bell/ring"


def test_an_exclusion_spares_the_sounds_of_its_label():
    """With rivals, a sound between them and the clips is told apart, which a lesson without rivals does not."""
    rivals = as_negatives("siren", [("wail", rows) for rows in clips(0, seed=7)])
    both = [clip + 0.7 * clips(0, seed=3)[0].mean(axis=0).astype(np.float16) for clip in clips(1)]
    lesson = learn(both, background(), rivals)
    assert all(lesson.recognized)
    assert not any(lesson.rivals_detected)
    assert not any(lesson.detector.probabilities(clip).mean() > 0.5 for clip in clips(0, seed=11))


@given(
    count=st.integers(3, 8),
    windows=st.integers(1, 6),
    value=st.sampled_from([0.0, 1.0, 60000.0]),
    recordings=st.integers(1, 4),
)
def test_any_embeddings_give_finite_detectors(count, windows, value, recordings):
    """Constant, equal and huge embeddings are learned without a NaN."""
    lesson = learn([np.full((windows, LENGTH), value, np.float16)] * count, background(recordings))
    assert np.isfinite(lesson.detector.weights).all()
    assert np.isfinite(lesson.detector.bias)
    assert len(lesson.recognized) == count


def test_groups_are_selected_and_joined():
    """A group contains its recordings alone, numbered anew; joined parts keep their names."""
    whole = join([background(2), as_negatives("siren", [("a", clips(0)[0]), ("b", clips(0)[1])])])
    group = whole.group("siren")
    assert group.names == ("siren/a", "siren/b")
    assert group.recording.tolist() == [0] * 4 + [1] * 4
    assert whole.group("owl").names == ()
    with pytest.raises(ValueError, match="need at least one"):
        join([])
