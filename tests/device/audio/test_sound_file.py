"""Tests of damaged, impossible and foreign sound files: each is read, or is one clear line."""

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from device.audio.files import read_samples, sound_files
from device.errors import InputError

TONE = 0.3 * np.sin(np.arange(40000) / 10)
FLOAT_FORMATS = ["WAV", "WAVEX", "RF64", "AIFF", "AU", "CAF", "W64", "MAT4", "MAT5"]
CUT_FORMATS = [
    *(("WAV", kind) for kind in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM")),
    *((kind, "PCM_16") for kind in ("WAVEX", "RF64", "AIFF", "AU", "CAF", "W64", "FLAC")),
    *((kind, "FLOAT") for kind in ("RF64", "AIFF", "AU", "CAF", "W64")),
    ("AIFF", "GSM610"),
    ("AIFF", "DWVW_16"),
]


def fault(path):
    """Return the error of a file, which is one printable line."""
    with pytest.raises(InputError) as caught:
        read_samples(path, 16000)
    text = str(caught.value)
    assert text.isprintable()
    assert caught.value.exit_code == 2
    return text


def encoded(file_format, subtype="PCM_16", rate=16000):
    """Return the bytes of a sound file."""
    file = io.BytesIO()
    soundfile.write(file, TONE, rate, format=file_format, subtype=subtype)
    return bytearray(file.getvalue())


@pytest.fixture(scope="module")
def cut_folder(tmp_path_factory):
    """Write files whose writer ended without closing them, as at a power failure."""
    folder = tmp_path_factory.mktemp("cut")
    code = (
        "import os, sys, numpy, soundfile\n"
        "signal = 0.3 * numpy.sin(numpy.arange(80000) / 10)\n"
        "files = []\n"
        "for name in sys.argv[2:]:\n"
        "    kind, subtype = name.split('-')\n"
        "    files.append(soundfile.SoundFile(f'{sys.argv[1]}/{name}', 'w', 16000, 1, subtype, None, kind))\n"
        "    files[-1].write(signal)\n"
        "os._exit(0)\n"
    )
    names = ["-".join(each) for each in CUT_FORMATS]
    subprocess.run([sys.executable, "-c", code, folder, *names], check=True)
    return folder


@pytest.mark.parametrize(("file_format", "subtype"), CUT_FORMATS)
def test_a_recording_that_was_cut_off_is_read(cut_folder, file_format, subtype):
    """A file without a length, as a power failure leaves it, has the samples that were written."""
    samples = read_samples(cut_folder / f"{file_format}-{subtype}", 16000)
    assert 75000 < len(samples) <= 80100
    assert 8000 < np.abs(samples[1000:70000].astype(int)).max() < 12000


@pytest.mark.parametrize("riff", [0, 36, 0xFFFFFFFF])
@pytest.mark.parametrize("data", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_with_any_placeholder_of_its_length_is_read(tmp_path, riff, data):
    """Recorders and streams write different placeholders for the length of a WAV file; each is read to its end."""
    content = encoded("WAV")
    content[4:8], content[40:44] = struct.pack("<I", riff), struct.pack("<I", data)
    (tmp_path / "a.wav").write_bytes(content)
    assert len(read_samples(tmp_path / "a.wav", 16000)) == len(TONE)


def test_an_empty_wav_with_a_chunk_behind_is_empty(tmp_path):
    """A file without samples is empty, also if the next chunk follows the place of the samples."""
    header = encoded("WAV")[:40] + bytes(4)
    (tmp_path / "a.wav").write_bytes(header + b"LIST" + struct.pack("<I", 400) + b"INFO" * 100)
    assert "holds no sound" in fault(tmp_path / "a.wav")


def test_a_flac_stream_without_a_length_is_read(tmp_path):
    """FLAC from a pipe has no number of samples in its header; all of them are read."""
    content = encoded("FLAC")
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    assert len(read_samples(tmp_path / "a.flac", 16000)) == len(TONE)


@pytest.mark.parametrize(
    ("file_format", "offset", "order"), [("WAV", 24, "<"), ("RF64", 60, "<"), ("W64", 68, "<"), ("AU", 16, ">")]
)
@pytest.mark.parametrize("rate", [1, 2, 999, 0x7FFFFFFF])
def test_an_impossible_sample_rate_is_refused(tmp_path, file_format, offset, order, rate):
    """A sample rate that no recorder has is an error that names it; 1 Hz was an endless loop."""
    content = encoded(file_format)
    assert struct.unpack_from(f"{order}I", content, offset) == (16000,)
    struct.pack_into(f"{order}I", content, offset, rate)
    (tmp_path / "a").write_bytes(content)
    assert f"{rate} Hz" in fault(tmp_path / "a")


def test_an_impossible_number_of_channels_is_refused(tmp_path):
    """More channels than any array of microphones has are an error that names their number."""
    soundfile.write(tmp_path / "a.wav", np.zeros((2000, 1000), np.int16), 16000)
    assert "1000 channels" in fault(tmp_path / "a.wav")


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("file_format", FLOAT_FORMATS)
@pytest.mark.parametrize(
    ("value", "cure"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity"), (32768, "volume=1/32768")]
)
def test_floats_that_are_no_samples_are_refused(tmp_path, file_format, subtype, value, cure):
    """NaN, infinity, and integers stored as floats are errors with their place and cure."""
    signal = TONE.copy()
    signal[24000] = value
    soundfile.write(tmp_path / "a", signal, 16000, format=file_format, subtype=subtype)
    text = fault(tmp_path / "a")
    assert cure in text
    assert "1.5 s" in text


def test_floats_above_full_scale_are_clipped(tmp_path):
    """Floats of a mixer, a little above full scale, are clipped."""
    soundfile.write(tmp_path / "a.wav", 3 * TONE / 0.3, 16000, subtype="FLOAT")
    assert np.abs(read_samples(tmp_path / "a.wav", 16000).astype(int)).max() == 32768


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x20ftypM4A \0", "M4A"),
        (b"#!AMR\n<", "AMR"),
        (b"#!AMR-WB\n", "AMR"),
        (b"\xff\xf1\x60\x40", "AAC"),
        (b"\x1aE\xdf\xa3\x9f", "WebM"),
        (b"0&\xb2u\x8ef", "Windows Media"),
        (b"\xf0~\0\1", "MIDI sample dump"),
        (b"wvpk\0\0\0\1", "can be read"),
    ],
)
def test_a_foreign_format_has_its_cure(tmp_path, head, kind):
    """A sound in a format that cannot be read is named, with the ffmpeg command for this very file."""
    path = tmp_path / "my memo.m4a"
    path.write_bytes(head + bytes(100))
    text = fault(path)
    assert kind in text
    assert text.endswith(f"ffmpeg -i '{path}' '{path.with_suffix('.wav')}'")


def test_opus_and_mp3_are_read(tmp_path):
    """Opus and MP3, as telephones and messengers write them, are read."""
    for file_format, subtype in (("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")):
        (tmp_path / "a").write_bytes(encoded(file_format, subtype))
        assert abs(len(read_samples(tmp_path / "a", 16000)) - len(TONE)) < 3000


def test_a_wav_with_the_suffix_raw_is_read(tmp_path):
    """The content of a file decides, not its suffix."""
    (tmp_path / "a.raw").write_bytes(encoded("WAV"))
    assert len(read_samples(tmp_path / "a.raw", 16000)) == len(TONE)


def make_folder(path):
    path.mkdir()


def make_pipe(path):
    os.mkfifo(path)


def make_link_to_itself(path):
    path.symlink_to(path)


def make_text(path):
    path.write_text("1,2\n3,4\n")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (make_folder, "a folder"),
        (make_pipe, "pipe or device"),
        (make_link_to_itself, "cannot be read"),
        (make_text, "not a sound file, but text"),
        (Path.touch, r"0 bytes"),
    ],
)
def test_what_is_no_file_of_sound_is_named(tmp_path, make, words):
    """A folder, a pipe, a circular link, a text and an empty file are one line each, at once."""
    make(tmp_path / "a.wav")
    assert words in fault(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("https://example.org/a.wav", "an address"),
        ("rtsp://camera:554/stream", "ffmpeg -i rtsp://camera:554/stream"),
        ("/dev/zero", "pipe or device"),
        ("n" * 300, "too long"),
        ("nowhere\n.wav", "no such file"),
    ],
)
def test_an_impossible_path_is_named(name, words):
    """An address, a device, a name of 300 characters and a missing file are one line each."""
    assert words in fault(Path(name))
    if name != "/dev/zero":
        with pytest.raises(InputError):
            sound_files(Path(name))


@pytest.fixture
def as_nobody():
    """Give up the rights of root for the test."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_missing_permission_is_named(tmp_path, as_nobody):
    """A file or folder without permission is one line with the cure."""
    if os.access(tmp_path, os.W_OK, effective_ids=True):
        (tmp_path / "a.wav").touch(0)
    assert "Permission denied). Permit it: chmod" in fault(tmp_path / "a.wav")
