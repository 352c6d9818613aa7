"""Street of two tones, its blocks, and a network that distinguishes them, for tests of the pipeline."""

import numpy as np

from device.audio.resampling import BlockSplitter
from device.model.features import FeatureConfig
from device.types import Blocks

FEATURES = FeatureConfig()
RATE = FEATURES.sample_rate


def low_or_high(log_mel):
    """Classify by comparing the lower half of the bands with the upper: a network that a reader can check."""
    half = len(log_mel) // 2
    low, high = np.exp(8 * log_mel[:half].max()), np.exp(8 * log_mel[half:].max())
    return np.array([low, high], np.float32) / np.float32(low + high)


def tone(frequency, seconds, amplitude=8000):
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE) * amplitude


def street_of_tones():
    """Return 20 s of faint noise with a low tone at 5 s and a high one at 12 s, each for a second."""
    samples = np.random.default_rng(0).normal(0, 3, 20 * RATE)
    samples[5 * RATE : 6 * RATE] += tone(300, 1)
    samples[12 * RATE : 13 * RATE] += tone(5000, 1)
    return samples.astype(np.int16)


def blocks_of(samples, lengths=(20 * RATE,), gaps=()):
    """Yield the blocks of samples that arrive in chunks of these lengths in turn, but for the numbers in `gaps`."""
    splitter, position, number, start, turn = BlockSplitter(RATE), 0, 0, 0, 0
    while start < len(samples):
        chunk = samples[start : start + lengths[turn % len(lengths)]]
        start, turn = start + len(chunk), turn + 1
        for block in splitter.feed(chunk):
            if number not in gaps:
                yield Blocks(block, position, 1000 + position / RATE)
            position, number = position + len(block), number + 1


def without_ids(events):
    return [(e.type, e.label, round(e.start_time, 3), e.end_time and round(e.end_time, 3), e.scores) for e in events]
