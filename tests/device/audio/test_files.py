import threading
import time

import numpy as np
import pytest
import soundfile

from device.audio.file_source import FileSource
from device.audio.files import read_samples, sound_files
from device.errors import InputError
from device.util.samples import to_float

SECOND = (np.sin(2 * np.pi * 440 * np.arange(16000) / 16000) * 8000).astype(np.int16)


def play(paths, *, realtime=False, stop=None):
    with FileSource(paths, 16000, realtime=realtime, stop=stop or threading.Event()) as source:
        return list(source)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2])
def test_each_wav_format_reads_the_same(tmp_path, subtype, channels):
    """WAV files of 16, 24 and 32 bits and of floats, mono and stereo, have the same samples."""
    path = tmp_path / "tone.wav"
    signal = SECOND if subtype.startswith("PCM") else to_float(SECOND)
    soundfile.write(path, np.tile(signal[:, np.newaxis], channels), 16000, subtype=subtype)
    np.testing.assert_array_equal(read_samples(path, 16000), SECOND)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 96000])
def test_the_duration_is_that_of_the_file(tmp_path, rate):
    """A file of one second has one second of samples, at any sample rate."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.zeros((rate, 2)), rate)
    assert abs(len(read_samples(path, 16000)) - 16000) <= 1


def test_blocks_of_a_file_are_its_samples(tmp_path):
    """The blocks of a file are its samples, with positions and times without a gap."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, SECOND, 16000)
    before = time.time()
    blocks = play([path])
    np.testing.assert_array_equal(np.concatenate([block.samples for block in blocks])[:16000], SECOND)
    assert [block.position for block in blocks] == [480 * number for number in range(len(blocks))]
    assert before <= blocks[0].time <= time.time()
    assert blocks[-1].time - blocks[0].time == pytest.approx(0.03 * (len(blocks) - 1))


def test_a_folder_is_one_stream(tmp_path):
    """The sound files of a folder follow one another in sorted order; other files are skipped."""
    soundfile.write(tmp_path / "b.wav", np.full(16000, 200, np.int16), 16000)
    soundfile.write(tmp_path / "a.flac", np.full(16000, 100, np.int16), 16000)
    (tmp_path / "notes.txt").write_text("not sound")
    samples = np.concatenate([block.samples for block in play(sound_files(tmp_path))])
    assert set(samples[:16000]) == {100}
    assert set(samples[16000:32000]) == {200}


def test_realtime_follows_the_clock(tmp_path):
    """In real time, half a second of sound takes at least about half a second."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, SECOND[:8000], 16000)
    started = time.monotonic()
    play([path], realtime=True)
    assert time.monotonic() - started >= 0.45


def test_stop_ends_a_file_at_once(tmp_path):
    """`stop` ends a recording before its end."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.tile(SECOND, 60), 16000)
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert len(play([path], realtime=True, stop=stop)) < 100


def damage_text(path):
    path.write_text("this is not sound")


def damage_empty(path):
    soundfile.write(path, np.empty(0, np.int16), 16000)


def damage_zero_bytes(path):
    path.write_bytes(b"")


def damage_missing(_):
    pass


@pytest.mark.parametrize("damage", [damage_text, damage_empty, damage_zero_bytes, damage_missing])
def test_a_bad_file_is_one_clear_error(tmp_path, damage):
    """An unreadable file is one error with its path, before any block."""
    path = tmp_path / "bad.wav"
    damage(path)
    with pytest.raises(InputError, match=r"bad\.wav: .+\. \w+"):
        read_samples(path, 16000)
    with pytest.raises(InputError, match=r"bad\.wav"):
        play([path])


def test_a_folder_without_sound_is_refused(tmp_path):
    """A folder without a sound file is an error."""
    with pytest.raises(InputError, match="no sound file"):
        sound_files(tmp_path)


def test_sound_files_are_sorted_without_hidden_ones(tmp_path):
    """The search returns the visible sound files of a folder in sorted order, without those of folders below."""
    (tmp_path / "b").mkdir()
    (tmp_path / "e.wav").mkdir()
    for name in ("c.flac", "a.WAV", "._a.wav", ".c.flac", "notes.txt", "b/d.ogg", "d.opus"):
        (tmp_path / name).touch()
    assert [path.name for path in sound_files(tmp_path)] == ["a.WAV", "c.flac", "d.opus"]


def test_sounds_that_cannot_be_read_are_named(tmp_path, caplog):
    """A folder with sounds of a telephone names them with the cure, as an error if there are no others."""
    (tmp_path / "a.m4a").touch()
    (tmp_path / "b.AMR").touch()
    with pytest.raises(InputError, match=r"no sound file.* 1 \.amr, 1 \.m4a.*ffmpeg"):
        sound_files(tmp_path)
    (tmp_path / "c.wav").touch()
    assert [path.name for path in sound_files(tmp_path)] == ["c.wav"]
    assert "1 .m4a" in caplog.text


def test_a_sound_shorter_than_a_sample_is_refused(tmp_path):
    """A file whose sound is shorter than one sample at the pipeline's rate is an error."""
    soundfile.write(tmp_path / "a.wav", [0.1], 192000)
    with pytest.raises(InputError, match="no sound"):
        read_samples(tmp_path / "a.wav", 16000)


def test_a_folder_of_hidden_files_is_refused(tmp_path):
    """A folder whose only sound files are hidden counts as one without sound."""
    (tmp_path / "._a.wav").touch()
    with pytest.raises(InputError, match="no sound file"):
        sound_files(tmp_path)


def test_a_hidden_file_can_be_given_by_its_path(tmp_path):
    """A file that is given by its path is returned, whatever its name is."""
    (tmp_path / "._a.wav").touch()
    assert sound_files(tmp_path / "._a.wav") == [tmp_path / "._a.wav"]
