"""Blocks of a source one by one, for tests."""

from device.types import BLOCK_SECONDS, Blocks, SourceLost

LENGTH = 480
"""Samples in a block at 16 kHz."""


def one_by_one(items):
    """Yield the items of a source at 16 kHz, each of its blocks alone."""
    for item in items:
        if isinstance(item, SourceLost):
            yield item
            continue
        for number, samples in enumerate(item.samples.reshape(-1, LENGTH)):
            yield Blocks(samples, item.position + number * LENGTH, item.time + number * BLOCK_SECONDS)
