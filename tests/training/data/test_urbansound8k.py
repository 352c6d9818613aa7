"""UrbanSound8K's table and its clips."""

import pytest

from training.data.urbansound8k import load_urbansound8k


def test_finds_clips_by_stem_and_says_which(urbansound8k):
    """The loader tells how much of the table is there, and which folds are not."""
    dataset = load_urbansound8k(urbansound8k)
    assert dataset.labels == ("clicks", "hiss", "tone")
    assert len(dataset.clips) == 54
    assert "54 of the table's 55" in dataset.description
    assert "folds missing: 2" in dataset.description
    assert dataset.evaluation_folds == (1, 3, 10)


@pytest.mark.parametrize("suffix", [".flac", ".ogg"])
def test_takes_other_formats_than_the_table_names(tmp_path, make_urbansound8k, suffix):
    """A table that says .wav finds the clip by its stem, whatever the format."""
    dataset = load_urbansound8k(make_urbansound8k(tmp_path, recordings=1, clips=1, suffix=suffix))
    assert {clip.path.suffix for clip in dataset.clips} == {suffix}
    assert len(dataset.clips) == 9
