"""Tests of `earshot clips`."""

import time

import numpy as np
import pytest
from uuid6 import uuid7

from device.cli.main import main
from device.clips.store import ClipFolder
from device.errors import InputError

NOISE = np.random.default_rng(0).integers(-9999, 9999, 16000).astype(np.int16)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the clip folder in the state directory of the command."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return ClipFolder(tmp_path / "clips")


def save_clip(folder):
    """Save a clip of noise, and return its event id."""
    event_id = str(uuid7())
    folder.save(event_id, time.time(), "siren", NOISE, 16000)
    return event_id


def test_clips_are_listed_exported_and_purged(folder, tmp_path, capsys):
    """The list has one line a clip; `export` copies the corrected clips, `purge` deletes the others."""
    corrected, recent = save_clip(folder), save_clip(folder)
    folder.relabel(corrected, "dog_bark")
    assert main(["clips", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2:4] for line in lines if corrected in line] == [["corrected", "dog_bark"]]
    assert [line.split()[2:4] for line in lines if recent in line] == [["detected", "siren"]]
    assert main(["clips", "export", str(tmp_path / "out")]) == 0
    assert f"--data {tmp_path / 'out' / 'corrected'}" in capsys.readouterr().out
    assert [path.parent.name for path in (tmp_path / "out").rglob("*.flac")] == ["dog_bark"]
    assert main(["clips", "purge"]) == 0
    assert [clip.event_id for clip in folder.clips()] == [corrected]
    assert main(["clips", "purge", "--corrected"]) == 0
    assert folder.clips() == []


def test_a_missing_clip_is_one_clear_line(folder, tmp_path, capsys):
    """An empty folder lists no clip; without a clip, `play` ends with exit code 2 and `export` with an error."""
    assert main(["clips", "list", "--json"]) == 0
    assert main(["clips", "play", "123"]) == 2
    assert "0 clips have an event id that ends so" in capsys.readouterr().err
    with pytest.raises(InputError, match="no clip was corrected yet"):
        folder.export(tmp_path / "out")


def test_a_clip_is_played(sound_server, folder, monkeypatch):
    """`earshot clips play` finds a clip by the end of its event id, and plays it on the loudspeaker."""
    for key, value in sound_server.environment.items():
        monkeypatch.setenv(key, value)
    assert main(["clips", "play", save_clip(folder)[-6:]]) == 0
