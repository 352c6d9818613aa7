"""Packets on the pipe between the capture process and the daemon: a line of JSON, and then samples.

The first line is the header: name, sample_rate and channels; or `state` and `message` if the microphone cannot be read.
Each further line has the fields of `Packet`, and `bytes` of samples follow it: interleaved int16, little-endian.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any

_LONGEST_LINE = 1 << 16
"""Longest line, bytes."""
LARGEST_PACKET = 1 << 20
"""Most samples in a packet, bytes."""


class PacketError(ValueError):
    """Damaged packet: the capture process must be started again."""


@dataclass(frozen=True)
class Packet:
    """One message of the capture process.

    Attributes:
        samples: interleaved samples, int16, little-endian; may be empty.
        after_loss: whether the driver lost sound right before them.
        server_source: source of a sound server that the stream records from, with the fields of `ServerSource`; None
            if it has not changed.
    """

    samples: bytes = b""
    after_loss: bool = False
    server_source: dict[str, Any] | None = None

    def encode(self) -> bytes:
        """Return the packet as it is sent."""
        if self.server_source is None:
            return encode_samples([self.samples], after_loss=self.after_loss)
        fields = {"bytes": len(self.samples), "after_loss": self.after_loss, "server_source": self.server_source}
        return encode_line(fields) + self.samples


def encode_samples(parts: Sequence[bytes], *, after_loss: bool) -> bytes:
    """Return a packet of samples as it is sent.

    Args:
        parts: its samples, in order.
        after_loss: see `Packet`.
    """
    return b"".join([_sample_line(sum(map(len, parts)), after_loss=after_loss), *parts])


# Nearly all packets have one size. After a pause, JSON would take half of the time in which a packet is read.


@lru_cache(maxsize=8)
def _sample_line(size: int, *, after_loss: bool) -> bytes:
    """Return the line before samples."""
    return encode_line({"bytes": size, "after_loss": after_loss})


@lru_cache(maxsize=8)
def _parse_line(line: bytes) -> Any:
    """Return the value of a line of JSON, which is not to be changed.

    Raises:
        PacketError: it is no JSON.
    """
    try:
        return json.loads(line)
    except ValueError as error:
        raise PacketError("a line is no JSON") from error


def encode_line(fields: dict[str, Any]) -> bytes:
    """Return one line of JSON."""
    return json.dumps(fields).encode() + b"\n"


def read_line(pipe: IO[bytes]) -> dict[str, Any] | None:
    """Read a line; return None at the end of the pipe.

    Raises:
        PacketError: it is no JSON object.
    """
    line = pipe.readline(_LONGEST_LINE)
    if not line:
        return None
    fields = _parse_line(line)
    if not isinstance(fields, dict):
        raise PacketError("a line is no JSON object")
    return fields


def read_packet(pipe: IO[bytes]) -> Packet | None:
    """Read a packet from a buffered pipe; return None at its end.

    Raises:
        PacketError: the packet is damaged.
    """
    fields = read_line(pipe)
    if fields is None:
        return None
    size = fields.get("bytes")
    if not isinstance(size, int) or not 0 <= size <= LARGEST_PACKET:
        raise PacketError("a packet has no size")
    return Packet(pipe.read(size), bool(fields.get("after_loss")), fields.get("server_source"))
