"""Tests of the password file as editors write it."""

import pytest

from device.config.models import MqttConfig
from device.config.secrets import read_password
from device.errors import ConfigError


@pytest.mark.parametrize(
    "content",
    [b"s3cret", b"s3cret\n", b"s3cret\r\n", b"\xef\xbb\xbfs3cret\r\n", b"s3cret\nsecond line\n"],
)
def test_the_password_is_the_first_line(tmp_path, content):
    """Line breaks of either kind, and the byte order mark of some editors, are no part of the password."""
    path = tmp_path / "password"
    path.write_bytes(content)
    assert read_password(MqttConfig(password_file=path), {}) == "s3cret"


@pytest.mark.parametrize("password", [" with spaces ", "pässwörd", "form\x0cfeed", "separator\u2028", "\x85"])
def test_only_a_line_break_ends_the_password(tmp_path, password):
    """Every character but a line break may be part of a password."""
    path = tmp_path / "password"
    path.write_bytes(f"{password}\n".encode())
    assert read_password(MqttConfig(password_file=path), {}) == password


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"\xef\xbb\xbf", "empty. Write the password on its first line"),
        (b"\n", "empty. Write the password on its first line"),
        ("s3cret".encode("utf-16"), "not readable (byte 0 is not UTF-8). Save it as UTF-8"),
        ("s3cret".encode("utf-16-le"), "the first line contains a NUL. Save it as UTF-8"),
    ],
)
def test_a_file_without_a_password_has_a_cure(tmp_path, content, fault):
    """An empty file, or one in another encoding, is one line with its cure and without the password."""
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_password(MqttConfig(password_file=path), {})
    assert str(caught.value) == f"mqtt.password_file {path}: {fault}"
