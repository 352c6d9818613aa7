"""Samples: conversion between int16 and float, and levels."""

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.types import BLOCK_SECONDS, FULL_SCALE, Samples


def to_int16(signal: NDArray[np.floating[Any]]) -> Samples:
    """Round a signal, shape (n,), full scale 1, to int16. Louder samples are clipped."""
    scaled: NDArray[np.floating[Any]] = signal * FULL_SCALE
    np.rint(scaled, out=scaled)
    np.minimum(np.maximum(scaled, -32768, out=scaled), 32767, out=scaled)
    return scaled.astype(np.int16)


def to_float(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Convert samples, any shape, int16, to float32 with full scale 1."""
    return np.multiply(samples, np.float32(1 / FULL_SCALE), dtype=np.float32)  # a power of two, hence exact


def mean_of_channels(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Average the channels of samples, shape (n, channels), int16; return shape (n,), float32, full scale 1.

    It is a matrix product: other sums over so short an axis take twice as long.
    """
    return samples.astype(np.float32) @ _mean_weights(samples.shape[1])


@functools.cache
def _mean_weights(channels: int) -> NDArray[np.float32]:
    """Return the weights of a mean that scales int16 to full scale 1, shape (channels,), float32."""
    return np.full(channels, 1 / (channels * FULL_SCALE), np.float32)


def level_dbfs(samples: Samples) -> float:
    """Compute the RMS level without the DC offset that cheap sound cards add, dB relative to full scale.

    Args:
        samples: shape (n,), int16, n at least 1.

    Returns:
        At most 0; a square wave at full scale is 0, a sine -3.01, digital silence -100.
    """
    signal = samples.astype(np.float32)  # for every block, hence two dot products: np.std takes four times as long
    mean = float(signal.sum()) / len(signal)
    variance = float(signal.dot(signal)) / len(signal) - mean * mean
    return 10.0 * math.log10(max(variance / FULL_SCALE**2, 1e-10))


def loudest_dbfs(samples: Samples, sample_rate: int) -> float:
    """Compute the RMS level of a window's loudest 30 ms, dB relative to full scale."""
    block_length = round(BLOCK_SECONDS * sample_rate)
    whole = len(samples) // block_length * block_length
    blocks = samples[:whole].reshape(-1, block_length)
    signal = blocks.astype(np.float32)
    signal -= signal.mean()  # of the window, so that the difference below is exact enough; np.std takes twice as long
    variances = np.einsum("ij,ij->i", signal, signal) - np.square(signal.sum(axis=1)) / np.float32(block_length)
    return level_dbfs(blocks[variances.argmax()])
