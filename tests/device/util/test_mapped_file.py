"""Tests of mapped files."""

import mmap
from pathlib import Path

from device.util.mapped_file import release_pages

SIZE = 1 << 20


def resident_kb(path):
    """Return the resident memory of this process's mappings of a file, kB."""
    mappings = Path("/proc/self/smaps").read_text().split(str(path))[1:]
    return sum(int(mapping.split("Rss:")[1].split()[0]) for mapping in mappings)


def test_pages_are_released_and_read_again(tmp_path):
    """The mapping holds no memory afterwards, and still has the content of the file."""
    path = tmp_path / "a network.tflite"
    path.write_bytes(b"earshot!" * (SIZE // 8))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
        assert mapping[:] == path.read_bytes()
        assert resident_kb(path) == SIZE // 1024
        release_pages(path)
        assert resident_kb(path) == 0
        assert mapping[-8:] == b"earshot!"


def test_changed_pages_and_other_files_are_kept(tmp_path):
    """A page that this process has changed exists nowhere else."""
    paths = [tmp_path / name for name in ("changed", "other")]
    for path in paths:
        path.write_bytes(bytes(SIZE))
    with paths[0].open("rb") as first, paths[1].open("rb") as second:
        changed = mmap.mmap(first.fileno(), 0, access=mmap.ACCESS_COPY)
        other = mmap.mmap(second.fileno(), 0, access=mmap.ACCESS_READ)
        changed[:5] = b"heard"
        assert other[:] == bytes(SIZE)
        release_pages(paths[0])
        assert changed[:5] == b"heard"
        assert resident_kb(paths[1]) == SIZE // 1024


def test_without_a_list_of_mappings_nothing_happens(tmp_path):
    """On a system without /proc, the pages stay."""
    release_pages(tmp_path / "file", tmp_path / "missing")
