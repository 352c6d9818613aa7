"""Repair of sound files without a length: recorders write it last, so after a power failure it is 0 and data follow.

The file itself stays as it is: a view of it has the length of its data. The places of the lengths are those of RIFF
("Multimedia Programming Interface and Data Specifications 1.0", 1991), RF64 (EBU Tech 3306), AIFF-C (Apple, 1991), CAF
(Apple Core Audio Format) and Sun's AU. FLAC needs no repair: it ends with its last frame.
"""

import os
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Literal

_CHUNK_LIMIT = 1000
"""Largest number of chunks that are read before the samples. A damaged file may seem to have millions."""
_EMPTY = 8
"""Largest size of a chunk of samples without a sample, bytes: AIFF and CAF have fields before the first."""
_TO_THE_END = b"\xff\xff\xff\xff"
"""Size that libsndfile shortens to the end of the file."""
_Order = Literal["little", "big"]


class PatchedFile:
    """View of a file for reading in which some bytes are replaced. It has what libsndfile needs of a file.

    Args:
        file: the file; the view moves its position.
        patches: bytes by their offset in the file.
    """

    def __init__(self, file: BinaryIO, patches: Mapping[int, bytes]) -> None:
        self._file = file
        self._patches = patches
        self._end = file.seek(0, os.SEEK_END)
        file.seek(0)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position. Damaged headers lead out of the file; then the nearest end of it is meant."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._end}[whence]
        return self._file.seek(min(max(base + offset, 0), self._end))

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`, with the replaced ones."""
        start = self._file.tell()
        data = bytearray(self._file.read(size))
        for offset, patch in self._patches.items():
            first, last = max(offset, start), min(offset + len(patch), start + len(data))
            if first < last:
                data[first - start : last - start] = patch[first - offset : last - offset]
        return bytes(data)


def with_length(file: BinaryIO) -> PatchedFile | None:
    """Return a view of a sound file with the length of its data in place of no length.

    Args:
        file: any file, opened for reading; its position changes.

    Returns:
        The view; None if the file has a length or no data, or is no WAV, RF64, AIFF, CAF or AU.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64"):
        patches = _wav_patches(file, end, "big" if head[:4] == b"RIFX" else "little")
    elif head[:4] == b"FORM":
        patches = _aiff_patches(file, end)
    elif head[:4] == b"caff":
        patches = _caf_patches(file, end)
    elif head[:4] in (b".snd", b"dns."):
        patches = {8: _TO_THE_END} if head[8:] == bytes(4) else {}
    else:
        patches = {}
    return PatchedFile(file, patches) if patches else None


def _wav_patches(file: BinaryIO, end: int, order: _Order) -> dict[int, bytes]:
    long_sizes: int | None = None
    for name, start, size in _chunks(file, 12, end, order):
        if name == b"ds64":
            long_sizes = start
        elif name == b"data" and _has_samples(file, start, end):
            if long_sizes is not None:  # RF64: the size of the samples is the second field of this chunk
                return {long_sizes + 8: (end - start).to_bytes(8, "little")}
            return {start - 4: _TO_THE_END} if size <= _EMPTY else {}
    return {}


def _aiff_patches(file: BinaryIO, end: int) -> dict[int, bytes]:
    patches: dict[int, bytes] = {}
    for name, start, size in _chunks(file, 12, end, "big"):
        if name == b"COMM":
            patches = {start + 2: _TO_THE_END}  # number of samples
        elif name == b"SSND" and size <= _EMPTY and _has_samples(file, start + 8, end):
            return {start - 4: _TO_THE_END, **patches}
    return {}


def _caf_patches(file: BinaryIO, end: int) -> dict[int, bytes]:
    for name, start, size in _chunks(file, 8, end, "big", size_bytes=8):
        if name == b"data" and (size <= _EMPTY or size > end):  # 2**64 - 1: unknown, in a stream
            return {start - 8: (end - start).to_bytes(8, "big")} if end > start + 4 else {}
    return {}


def _chunks(
    file: BinaryIO, start: int, end: int, order: _Order, size_bytes: int = 4
) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start of the content and size of each chunk, until the end of the file."""
    for _ in range(_CHUNK_LIMIT):
        if start >= end:
            return
        file.seek(start)
        header = file.read(4 + size_bytes)
        if len(header) < 4 + size_bytes:
            return
        size = int.from_bytes(header[4:], order)
        yield header[:4], start + len(header), size
        padding = size % 2 if size_bytes == 4 else 0
        start += len(header) + size + padding


def _has_samples(file: BinaryIO, start: int, end: int) -> bool:
    """Return whether samples follow, and not the next chunk, whose name is letters."""
    if start >= end:
        return False
    file.seek(start)
    return not file.read(4).isalpha()
