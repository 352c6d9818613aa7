"""Folds of a dataset."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from training.data.dataset import assign_folds, split_at_random
from training.data.loading import load_dataset


@given(st.integers(3, 40), st.integers(0, 1000))
def test_recordings_are_assigned_whole_and_evenly(count, seed):
    """Every draw keeps a recording in one fold, and folds differ by one recording at most."""
    folds = assign_folds({f"r{i}" for i in range(count)}, (1, 3, 10), Random(seed))
    sizes = [list(folds.values()).count(fold) for fold in (1, 3, 10)]
    assert len(folds) == count
    assert max(sizes) - min(sizes) <= 1


def test_a_random_split_is_marked_as_leaking(urbansound8k, negatives):
    """Clips are assigned evenly and reproducibly, regardless of their recordings; the dataset is marked."""
    dataset = load_dataset(urbansound8k, [negatives])
    split = split_at_random(dataset, 0)
    assert (dataset.leaks, split.leaks) == (False, True)
    assert split == split_at_random(dataset, 0)
    assert split.evaluation_folds == (1, 2, 3, 4, 5)
    folds_of: dict[str, set[int]] = {}
    for clip in split.clips:
        folds_of.setdefault(clip.recording, set()).add(clip.fold)
    assert any(len(folds) > 1 for folds in folds_of.values())
