"""Packet writer: reads of the microphone, from PortAudio's thread to the pipe of the daemon."""

import contextlib
import fcntl
import os
import threading
from collections import deque
from typing import Any

from device.audio.packets import Packet, encode_line, encode_samples

_WAITING_PACKETS = 80
"""Packets that may wait for the pipe."""
_PIPE_BYTES = 1 << 18
"""Size that is asked for the pipe, bytes: more than a second of sound, so that a packet is one write."""


def prepare_pipe(pipe: int) -> None:
    """Make the pipe non-blocking, and large enough for a packet in one write."""
    os.set_blocking(pipe, False)
    with contextlib.suppress(OSError):  # the size is limited for a user, or it is no pipe
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


class PacketWriter:
    """Writer of the reads of an open microphone to the pipe. No call waits.

    PortAudio's own thread writes: a second thread would have to wake for every read.

    Args:
        overflow_flag: PortAudio's flag for lost input.
        pipe: descriptor of the pipe's end for writing, non-blocking.

    Attributes:
        reads_per_packet: reads that are written together, at least 1. Fewer packets wake the daemon less often.
        is_empty: whether PortAudio has delivered a read without a sample: the microphone is gone.
    """

    def __init__(self, overflow_flag: int, pipe: int) -> None:
        self._overflow_flag = overflow_flag
        self._pipe = pipe
        self._reads: list[bytes] = []
        self._has_lost = False
        self._waiting: deque[bytes] = deque()
        self._is_begun = False
        self._lock = threading.Lock()
        self.reads_per_packet = 1
        self.is_empty = False

    def begin(self, header: dict[str, Any]) -> None:
        """Write the header; the packets follow it.

        Raises:
            BrokenPipeError: the daemon has closed the pipe.
        """
        with self._lock:
            self._waiting.appendleft(encode_line(header))
            self._is_begun = True
            self._write()

    def add(self, samples: bytes, flags: int) -> None:
        """Add a read, and write what the pipe has room for.

        A packet without a place is lost, and the next one reports it.

        Args:
            samples: interleaved int16.
            flags: PortAudio's status flags.

        Raises:
            BrokenPipeError: the daemon has closed the pipe.
        """
        self.is_empty |= not samples
        if flags & self._overflow_flag:
            self._end_packet()  # the loss lies before this read, so it begins a packet
            self._has_lost = True
        self._reads.append(samples)
        if len(self._reads) >= self.reads_per_packet:
            self._end_packet()
        with self._lock:
            self._write()

    def report_source(self, source: dict[str, Any]) -> None:
        """Send the fields of the sound server's source after the packets that wait; any thread."""
        with self._lock:
            self._waiting.append(Packet(server_source=source).encode())

    def _end_packet(self) -> None:
        """Put the reads so far into a packet that waits for the pipe."""
        if not self._reads:
            return
        packet = encode_samples(self._reads, after_loss=self._has_lost)
        self._reads.clear()
        self._has_lost = len(self._waiting) >= _WAITING_PACKETS
        if not self._has_lost:
            with self._lock:
                self._waiting.append(packet)

    def _write(self) -> None:
        """Write the packets that wait, as far as the pipe has room. The rest of a packet is written first next time."""
        while self._waiting and self._is_begun:
            try:
                written = os.write(self._pipe, self._waiting[0])
            except BlockingIOError:
                return
            if written < len(self._waiting[0]):
                self._waiting[0] = self._waiting[0][written:]
            else:
                self._waiting.popleft()
