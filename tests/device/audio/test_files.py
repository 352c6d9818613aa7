import threading
import time

import numpy as np
import pytest
import soundfile

from device.audio.file_source import FileSource
from device.audio.files import read_samples, sound_files
from device.errors import InputError

SECOND = (np.sin(2 * np.pi * 440 * np.arange(16000) / 16000) * 8000).astype(np.int16)


def play(paths, *, realtime=False, stop=None):
    with FileSource(paths, 16000, realtime=realtime, stop=stop or threading.Event()) as source:
        return list(source)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_usual_wav_reads_the_same(tmp_path, subtype, channels):
    """16, 24 and 32-bit and float WAV, mono and stereo, all give the same samples."""
    path = tmp_path / "tone.wav"
    signal = SECOND if subtype.startswith("PCM") else SECOND / 32768
    soundfile.write(path, np.tile(signal[:, np.newaxis], channels), 16000, subtype=subtype)
    np.testing.assert_array_equal(read_samples(path, 16000), SECOND)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 96000])
def test_any_rate_lasts_as_long(tmp_path, rate):
    """A second is a second, whatever the file's rate."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.zeros((rate, 2)), rate)
    assert abs(len(read_samples(path, 16000)) - 16000) <= 1


def test_blocks_of_a_file_are_its_samples(tmp_path):
    """Played, a file gives the samples that it reads as, at positions and times that go on without a gap."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, SECOND, 16000)
    before = time.time()
    blocks = play([path])
    np.testing.assert_array_equal(np.concatenate([block.samples for block in blocks])[:16000], SECOND)
    assert [block.position for block in blocks] == [480 * number for number in range(len(blocks))]
    assert before <= blocks[0].time <= time.time()
    assert blocks[-1].time - blocks[0].time == pytest.approx(0.03 * (len(blocks) - 1))


def test_a_folder_is_played_as_one_stream(tmp_path):
    """The sound files of a folder follow one another by name; other files are passed over."""
    soundfile.write(tmp_path / "b.wav", np.full(16000, 200, np.int16), 16000)
    soundfile.write(tmp_path / "a.flac", np.full(16000, 100, np.int16), 16000)
    (tmp_path / "notes.txt").write_text("not sound")
    samples = np.concatenate([block.samples for block in play(sound_files(tmp_path))])
    assert set(samples[:16000]) == {100}
    assert set(samples[16000:32000]) == {200}


def test_realtime_waits_for_the_clock(tmp_path):
    """At real-time speed half a second takes no less than half a second."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, SECOND[:8000], 16000)
    started = time.monotonic()
    play([path], realtime=True)
    assert time.monotonic() - started >= 0.45


def test_stop_ends_a_realtime_file_at_once(tmp_path):
    """Ctrl-C does not wait for the recording's end."""
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
    """What cannot be read is refused with its path, before anything is played."""
    path = tmp_path / "bad.wav"
    damage(path)
    with pytest.raises(InputError, match=r"bad\.wav: .+\. \w+"):
        read_samples(path, 16000)
    with pytest.raises(InputError, match=r"bad\.wav"):
        play([path])


def test_a_folder_without_sound_is_refused(tmp_path):
    """A folder that holds no sound file is a mistake, not an endless silence."""
    with pytest.raises(InputError, match="no sound file"):
        sound_files(tmp_path)
