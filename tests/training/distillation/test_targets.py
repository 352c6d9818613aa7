"""The teacher's embeddings as targets."""

import shutil

import numpy as np
import pytest

from device.model.features import FeatureConfig, log_mel
from training.data.array_cache import Cache
from training.data.mixing import normalize_peak
from training.data.spectrograms import quantize
from training.distillation.targets import MixtureWindowsConfig, embed_clips, embed_mixtures
from training.distillation.yamnet import EMBEDDING, Teacher

SMALL = FeatureConfig(win_length_seconds=0.039, hop_length_seconds=0.039, mel_bands=75)
MIXTURES = MixtureWindowsConfig(features=SMALL, windows=96)


def test_an_interrupted_run_continues(sounds, teacher, tmp_path):
    """A second run takes the embeddings from the cache."""
    cache = Cache(tmp_path)
    first = embed_mixtures([sounds], teacher, MIXTURES, cache)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = embed_mixtures([sounds], teacher, MIXTURES, cache)
    assert np.array_equal(first.embeddings, again.embeddings)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written


def test_clips_and_copies_are_embedded_at_one_level(adaptation_run, teacher, tmp_path):
    """Embeddings are in the order of their windows, and do not depend on a clip's level."""
    targets = embed_clips(adaptation_run.data.inception.maker, teacher, Cache(tmp_path))
    parts = adaptation_run.data.inception.parts
    assert np.array_equal(targets.windows, np.concatenate([part.quantized for part in parts]))
    copied = list(adaptation_run.data.inception.maker.cutter.samples(1))
    last = len(targets.windows) - 1
    for row, window in ((len(parts[0]), copied[0]), (last, copied[-1])):
        for samples in (window, window // 2):
            assert targets.embeddings[row] == pytest.approx(
                Teacher(teacher)(normalize_peak(samples))[:EMBEDDING], rel=0.02, abs=0.02
            )
    assert np.array_equal(quantize(log_mel(copied[-1], SMALL)), targets.windows[last])


def test_targets_depend_on_the_sounds_and_not_on_their_path(sounds, teacher, tmp_path):
    """A moved folder is found in the cache again; other sounds at the same path are computed anew."""
    cache, folder = Cache(tmp_path / "cache"), tmp_path / "sounds"
    shutil.copytree(sounds, folder)
    first = embed_mixtures([sounds], teacher, MIXTURES, cache)
    assert np.array_equal(embed_mixtures([folder], teacher, MIXTURES, cache).windows, first.windows)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    for path in folder.glob("tone*.wav"):
        shutil.copy(folder / "noise0.flac", path)
    other = embed_mixtures([folder], teacher, MIXTURES, cache)
    assert not np.array_equal(other.windows, first.windows)
