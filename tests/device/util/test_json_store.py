import logging
import shutil

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from device.util.json_store import JsonStore


class Lamp(BaseModel):
    """Model for the tests."""

    model_config = ConfigDict(frozen=True)

    is_on: bool = False
    colours: dict[str, int] = {}


def test_values_survive_a_restart(tmp_path):
    """The next run reads an update back; a missing folder is created."""
    path = tmp_path / "state" / "lamp.json"
    assert JsonStore(path, Lamp).content == Lamp()
    JsonStore(path, Lamp).update(is_on=True)
    again = JsonStore(path, Lamp)
    again.update(colours={"red": 3})
    assert JsonStore(path, Lamp).content == again.content == Lamp(is_on=True, colours={"red": 3})


def test_an_invalid_value_changes_nothing(tmp_path):
    """An invalid value is refused before anything is written."""
    lamp = JsonStore(tmp_path / "lamp.json", Lamp)
    with pytest.raises(ValidationError):
        lamp.update(colours={"red": "much"})
    assert lamp.content == Lamp()
    assert not (tmp_path / "lamp.json").exists()


def test_nothing_is_written_without_a_change(tmp_path):
    """Setting the current value again does not write to the SD card."""
    lamp = JsonStore(tmp_path / "lamp.json", Lamp)
    lamp.update(is_on=True)
    written = (tmp_path / "lamp.json").stat().st_mtime_ns
    lamp.update(is_on=True)
    assert (tmp_path / "lamp.json").stat().st_mtime_ns == written


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1]", b'{"is_on": "perhaps"}', b'{"is_on": tr'])
def test_a_damaged_file_is_renamed(tmp_path, caplog, content):
    """A damaged file is renamed, one warning is logged, and the defaults apply."""
    path = tmp_path / "lamp.json"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        lamp = JsonStore(path, Lamp)
    assert lamp.content == Lamp()
    assert (tmp_path / "lamp.damaged").read_bytes() == content
    (line,) = caplog.messages
    assert str(path) in line
    lamp.update(is_on=True)
    assert JsonStore(path, Lamp).content.is_on


def test_a_file_that_cannot_be_written_is_reported(tmp_path, caplog):
    """The value applies to this run; one warning, until the file is written, reports that it will be lost."""
    folder = tmp_path / "folder"
    lamp = JsonStore(folder / "lamp.json", Lamp)
    with caplog.at_level(logging.WARNING):
        for expected in (1, 2):
            folder.touch()  # a file in place of the folder
            lamp.update(is_on=True, colours={"red": expected})
            lamp.update(is_on=False, colours={"red": 10 * expected})
            assert lamp.content.colours == {"red": 10 * expected}
            assert len(caplog.messages) == expected
            folder.unlink()
            lamp.update(colours={"red": 100 * expected})
            assert JsonStore(folder / "lamp.json", Lamp).content == lamp.content
            shutil.rmtree(folder)
    assert "lost at the next start" in caplog.messages[0]
