"""Tests of the file of taught sounds."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.errors import ConfigError, InputError, UnavailableError
from device.model.taught import Detector
from device.teaching.taught_file import ClipOrigin, Figures, TaughtSound, read_taught, write_taught
from device.teaching.taught_names import check_label

FIGURES = Figures(recognized=2, clips=3, false_alarms=1, ambience_minutes=6.6, kept_clips=0, kept_detected=0)


def sound(name="bell", *, is_exclusion=False, length=4):
    """Return a taught sound of three clips, with two windows each."""
    random = np.random.default_rng(0)

    def values(*shape):
        return random.normal(size=shape)

    origins = [ClipOrigin(name=f"ring{n}.wav", path=f"/sounds/ring{n}.wav", sha256="0" * 64) for n in range(3)]
    clips = tuple((origin, values(2, length).astype(np.float16)) for origin in origins)
    detector = Detector(values(length).astype("f4"), np.ones(length, np.float32), values(length).astype("f4"), -1.5)
    return TaughtSound(name, is_exclusion, "a" * 64, values(5, length).astype(np.float16), clips, detector, FIGURES)


def test_what_is_written_is_read(tmp_path):
    """Names, origins, embeddings, detectors and figures are the same; a file that is replaced leaves no other."""
    path = tmp_path / "state" / "taught.npz"
    assert read_taught(path) == ()
    write_taught(path, [sound("owl")])
    write_taught(path, [sound(), sound("two words", is_exclusion=True)])
    first, second = read_taught(path)
    assert (first.key, second.key) == (("bell", False), ("two words", True))
    expected = sound()
    assert [origin for origin, _ in first.clips] == [origin for origin, _ in expected.clips]
    for (_, rows), (_, right) in zip(first.clips, expected.clips, strict=True):
        np.testing.assert_array_equal(rows, right)
    np.testing.assert_array_equal(first.detector.weights, expected.detector.weights)
    assert (first.detector.bias, first.figures, first.network) == (-1.5, FIGURES, "a" * 64)
    assert [each.name for each in path.parent.iterdir()] == ["taught.npz"]


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "damaged"), (b"PK\x03\x04", "damaged"), (b"\x93NUMPY", "damaged")]
)
def test_a_file_of_another_kind_is_refused(tmp_path, content, message):
    """The error has the path and a cure."""
    path = tmp_path / "taught.npz"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as error:
        read_taught(path)
    assert str(path) in str(error.value)
    assert "--import" in str(error.value)


def test_a_newer_format_is_refused(tmp_path):
    """The error names both formats."""
    path = tmp_path / "taught.npz"
    text = json.dumps({"format_version": 2, "sounds": []}).encode()
    np.savez(path, description=np.frombuffer(text, np.uint8))
    with pytest.raises(ConfigError, match=r"format 2, not 1\. Update Earshot"):
        read_taught(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(position=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans())
def test_any_damage_is_read_or_refused(tmp_path, position, value, cut):
    """A changed byte or a shorter file gives the same sounds or a ConfigError, and no other exception."""
    path = tmp_path / "taught.npz"
    write_taught(path, [sound()])
    content = bytearray(path.read_bytes())
    at = int(position * len(content))
    content[at] = value
    path.write_bytes(content[:at] if cut else content)
    try:
        sounds = read_taught(path)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert [each.name for each in sounds] == ["bell"]


def test_an_unwritable_folder_is_an_error_with_a_cure(tmp_path):
    """A file where the folder should be is reported with its path."""
    (tmp_path / "state").write_text("")
    with pytest.raises(UnavailableError, match="cannot be written"):
        write_taught(tmp_path / "state" / "taught.npz", [sound()])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("Door Bell", "Use door_bell"),
        ("a/b#+", "Use a_b"),
        ("unknown", "is reserved"),
        ("none", "is reserved"),
        ("", "must be 1 to 64"),
        ("x" * 65, "must be 1 to 64"),
        ("\n\0", "must be 1 to 64"),
    ],
)
def test_a_bad_name_is_refused(label, message):
    """The message is one line, with the nearest allowed name."""
    with pytest.raises(InputError, match=message) as error:
        check_label(label)
    assert str(error.value).isprintable()
    check_label("door_bell2")
