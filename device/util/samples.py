"""Samples of a window: level of the loudest part."""

import numpy as np

from device.types import BLOCK_SECONDS, Samples, level_dbfs


def loudest_dbfs(samples: Samples, sample_rate: int) -> float:
    """Compute the RMS level of a window's loudest 30 ms, dB relative to full scale."""
    block_length = round(BLOCK_SECONDS * sample_rate)
    whole = len(samples) // block_length * block_length
    blocks = samples[:whole].reshape(-1, block_length)
    return level_dbfs(blocks[blocks.std(axis=1, dtype=np.float32).argmax()])
