"""UrbanSound8K's table and its clips."""

import pytest

from training.data.urbansound8k import load_urbansound8k


def test_clips_are_found_by_stem_and_counted(urbansound8k):
    """The loader reports how many clips of the table exist, and which folds are missing."""
    dataset = load_urbansound8k(urbansound8k)
    assert dataset.labels == ("clicks", "hiss", "tone")
    assert len(dataset.clips) == 54
    assert "54 of the table's 55" in dataset.description
    assert "folds missing: 2" in dataset.description
    assert dataset.evaluation_folds == (1, 3, 10)


@pytest.mark.parametrize("suffix", [".flac", ".ogg"])
def test_formats_other_than_the_tables_are_read(tmp_path, make_urbansound8k, suffix):
    """A table with names in .wav finds clips of any format by their stem."""
    dataset = load_urbansound8k(make_urbansound8k(tmp_path, recordings=1, clips=1, suffix=suffix))
    assert {clip.path.suffix for clip in dataset.clips} == {suffix}
    assert len(dataset.clips) == 9
