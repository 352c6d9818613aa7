"""Fuzz tests of sound files: each damaged header gives samples or one clear line, in every format, without a hang.

A property is tried a hundred times by default, and ten thousand times by `make fuzz`.
"""

import io

import numpy as np
import pytest
import soundfile
from fuzz_strategies import damages
from hypothesis import given
from hypothesis import strategies as st

from device.audio.files import stream_samples
from device.errors import InputError

TONE = 0.3 * np.sin(np.arange(4000) / 10)
RATES = {"XI": 44100, "WVE": 8000}
"""Sample rates of formats that have a single one, Hz."""
HEADER = 160
"""Bytes of a file that contain its header."""
MAXIMUM = 16000 * 600
"""More samples than any damage to these files of a quarter of a second can stand for."""


def sounds():
    """Return a file of every format and subtype that is written and read here."""
    found = {}
    for kind in sorted(set(soundfile.available_formats()) - {"RAW", "SD2", "SDS"}):
        for subtype in sorted(soundfile.available_subtypes(kind)):
            file = io.BytesIO()
            try:
                soundfile.write(file, TONE, RATES.get(kind, 16000), format=kind, subtype=subtype)
            except soundfile.LibsndfileError:
                continue
            found[f"{kind} {subtype}"] = file.getvalue()
    return found


SOUNDS = sounds()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of the damaged files, one after another."""
    return tmp_path_factory.mktemp("fuzz")


def read(path):
    """Read a file to its end, or to its error, which is one line."""
    count = 0
    try:
        for samples in stream_samples(path, 16000):
            assert samples.dtype == np.int16
            count += len(samples)
            assert count < MAXIMUM
    except InputError as error:
        assert str(error).isprintable()
        assert str(error).startswith(str(path))


@st.composite
def flipped_headers(draw):
    """Draw a sound file with some bytes of its header replaced, at the places of a field."""
    content = bytearray(SOUNDS[draw(st.sampled_from(sorted(SOUNDS)))])
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, min(HEADER, len(content)) - 1))
        field = draw(
            st.sampled_from([b"\0", b"\xff", b"\1", b"\x7f", bytes(4), b"\xff" * 4, b"\xff\xff\xff\x7f", b"\1\0\0\0"])
            | st.binary(min_size=1, max_size=8)
        )
        content[position : position + len(field)] = field
    return bytes(content)


@given(content=flipped_headers())
def test_any_header_is_a_sound_or_one_clear_line(folder, content):
    """Any values in the fields of a header give samples, or one line that begins with the path."""
    path = folder / "sound"
    path.write_bytes(content)
    read(path)


@given(data=st.data())
def test_any_damaged_file_is_a_sound_or_one_clear_line(folder, data):
    """A file of any format with bytes deleted, inserted, replaced or cut off is a sound, or one clear line."""
    path = folder / "sound"
    path.write_bytes(data.draw(damages(SOUNDS[data.draw(st.sampled_from(sorted(SOUNDS)))])))
    read(path)


@given(content=st.binary(max_size=300))
def test_any_bytes_are_one_clear_line(folder, content):
    """Any bytes with any known first bytes are a sound, or one clear line."""
    path = folder / "sound"
    for head in (b"", b"RIFF\0\0\0\0WAVE", b"FORM\0\0\0\0AIFF", b"caff\0\1\0\0", b".snd", b"fLaC", b"OggS", b"RF64"):
        path.write_bytes(head + content)
        read(path)


@pytest.mark.parametrize("name", sorted(SOUNDS))
def test_an_unharmed_file_is_a_sound(folder, name):
    """Each format that is damaged here is readable without damage."""
    path = folder / "sound"
    path.write_bytes(SOUNDS[name])
    assert sum(map(len, stream_samples(path, 16000))) > 1000
