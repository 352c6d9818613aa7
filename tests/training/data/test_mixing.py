"""Windows mixed from sounds without labels."""

import numpy as np
import pytest
import soundfile

from device.errors import InputError
from training.data.mixing import MixtureConfig, Mixtures


def test_windows_are_audible_and_reproducible(sounds):
    """Every window has the same peak, none is silent, and the same seed gives the same windows."""
    mixtures = Mixtures([sounds], 16000, MixtureConfig())
    windows = [mixtures.draw(48000, np.random.default_rng(seed)) for seed in range(20)]
    assert all(np.abs(window).max() == 16384 or np.abs(window).max() == 16383 for window in windows)
    assert np.array_equal(windows[3], mixtures.draw(48000, np.random.default_rng(3)))
    assert not np.array_equal(windows[3], windows[4])


def test_a_folder_without_sounds_is_refused(tmp_path):
    """A folder without sounds is an error that names it."""
    with pytest.raises(InputError, match="no sound"):
        Mixtures([tmp_path], 16000, MixtureConfig())


def test_hidden_sounds_are_skipped(tmp_path):
    """Hidden files, and files in hidden folders, are no sounds to mix."""
    (tmp_path / ".bin").mkdir()
    for name in ("._a.wav", ".bin/b.wav"):
        soundfile.write(tmp_path / name, np.ones(100) / 2, 16000)
    with pytest.raises(InputError, match="no sound"):
        Mixtures([tmp_path], 16000, MixtureConfig())
