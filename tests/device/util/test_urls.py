"""Tests of URLs without their secrets."""

import pytest

from device.util.urls import without_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("audio.url=rtsp://anna:secret@camera/1", "audio.url=rtsp://...@camera/1"),
        ("mqtt.host=anna:secret@broker", "mqtt.host=...@broker"),
        ("see http://a-b:p:w@x and mqtt://c:d@y", "see http://...@y"),
        ("a-b://user:secret@x", "...@x"),
        ("host:1883", "host:1883"),
        ("anna@broker", "anna@broker"),
    ],
)
def test_user_and_password_are_replaced(text, shown):
    """All that may be a password is replaced, up to the last `@`; a text without one stays as it is."""
    assert without_password(text) == shown


def test_a_long_word_is_read_once():
    """A word of a million letters, as from a broken script, is shown at once."""
    word = "9" * 1_000_000
    assert without_password(f"{word}=a:b@{word}") == f"{word}=...@{word}"
