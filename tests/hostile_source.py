"""Hostile source of sound for tests: whatever a sound card, a sound server or a pipe can do, in simulated time."""

import os
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import numpy as np
from support import wait_until

from device.audio.block_stream import BlockStream
from device.audio.chunk_queue import Chunk
from device.audio.live_source import LiveSource
from device.audio.signal_diagnosis import SignalDiagnosis
from device.audio.stdin_source import StdinSource

RATE = 16000
READ = 1920
"""Samples of a read: 0.12 s."""
START = 1_795_000_000.0


def capture_program(*steps, **header):
    """Return the command of a capture process, which sends a header and then executes the steps.

    The steps may call `send(samples, **fields)`, as device/audio/packets.py describes it.
    """
    lines = [
        "import json, os, sys, time",
        "def line(fields): os.write(1, json.dumps(fields).encode() + b'\\n')",
        "def send(samples, **fields): line({'bytes': len(samples), **fields}); os.write(1, samples)",
        f"line({header!r})",
    ]
    return [sys.executable, "-c", "\n".join([*lines, *steps])]


@contextmanager
def piped(monkeypatch, write, **options):
    """Open a source with a pipe as standard input; a thread calls `write` with the other end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, options.pop("blocking", True))
    options = {"live": False, "queue_seconds": 10, "stop": threading.Event(), **options}

    def feed():
        with suppress(BrokenPipeError), os.fdopen(writing, "wb", buffering=0) as pipe:  # a refused format is not read
            write(pipe)

    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        writer = threading.Thread(target=feed)
        writer.start()
        with StdinSource(options.pop("rate", RATE), RATE, **options) as source:
            yield source
        writer.join(timeout=10)
        assert not writer.is_alive(), "the source did not read to the end"
        # Until its thread has read to the end, it would read from the next file of the same number.
        wait_until(lambda: "standard input" not in {each.name for each in threading.enumerate()}, 10, "the end")


def in_chunks(data, lengths):
    """Return a function that writes data in chunks of these lengths, bytes, repeatedly."""

    def write(pipe):
        start = number = 0
        while start < len(data):
            pipe.write(data[start : start + lengths[number % len(lengths)]])
            start, number = start + lengths[number % len(lengths)], number + 1

    return write


@dataclass
class HostileSource:
    """Stream of chunks with their arrival times, and the truth about them.

    Attributes:
        channels: number of channels.
        speed: real sample rate, relative to the nominal one; it may be changed at any time.
        chunks: chunks so far.
        heard_at: true time of each delivered sample, Unix seconds, a list of arrays.
        lost_seconds: sound lost so far, s.
        losses: times at which sound was lost without a report.
    """

    channels: int = 1
    speed: float = 1.0
    chunks: list = field(default_factory=list)
    heard_at: list = field(default_factory=list)
    lost_seconds: float = 0.0
    losses: list = field(default_factory=list)
    _now: float = START
    _arrived: float = START
    _offset: int = 0
    _after_loss: bool = False

    def play(self, samples, delays=(0.0,)):
        """Deliver samples, shape (n, channels), read by read.

        Args:
            samples: int16.
            delays: lateness of each read, s, in turn. Reads never overtake one another.
        """
        for number, start in enumerate(range(0, len(samples), READ)):
            part = samples[start : start + READ]
            times = self._now + np.arange(len(part)) / (RATE * self.speed)
            self._now += len(part) / (RATE * self.speed)
            self._deliver(part, times, delays[number % len(delays)])

    def burst(self, samples):
        """Deliver all reads at once, when the last one has sounded, as sound servers do."""
        seconds = len(samples) / (RATE * self.speed)
        self.play(samples, [seconds - READ * (number + 1) / RATE for number in range(-(-len(samples) // READ))])

    def repeat(self):
        """Deliver the last read once more."""
        self._deliver(np.frombuffer(self.chunks[-1].data, "<i2").reshape(-1, self.channels), self.heard_at[-1], 0.0)

    def deliver_nothing(self):
        """Deliver a read without a sample."""
        self._deliver(np.empty((0, self.channels), np.int16), np.empty(0), 0.0)

    def lose(self, seconds, *, reported):
        """Lose sound, with or without a report of the driver."""
        self._now += seconds
        self.lost_seconds += seconds
        self._after_loss |= reported
        if not reported:
            self.losses.append(self._now)

    def _deliver(self, samples, times, delay):
        self._arrived = max(self._arrived, self._now + max(delay, 0.0))
        data = samples.astype("<i2").tobytes()
        self.chunks.append(Chunk(data, self._offset, self._arrived, self._arrived, self._after_loss))
        self._offset += len(data)
        self._after_loss = False
        self.heard_at.append(times)


class Ear(LiveSource):
    """Live source that reads a hostile one to its end.

    Attributes:
        blocks: blocks received.
        states: state after each chunk, with its arrival in seconds since the start.
    """

    def __init__(self, hostile):
        super().__init__(RATE, threading.Event())
        stream, diagnosis = BlockStream(RATE, hostile.channels, RATE, 0), SignalDiagnosis(RATE)
        self.blocks, self.states = [], []
        for chunk in hostile.chunks:
            self.blocks += self._blocks(stream, chunk)
            diagnosis.feed(stream.channel_samples, stream.mono, chunk.monotonic)
            self.states.append((chunk.monotonic - START, diagnosis.state))
        self.blocks += self._placed(stream.flush())
