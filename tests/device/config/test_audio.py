"""Tests of the settings of the sound input: faults of a stream's address, and its secrets."""

import pytest

from device.config.loader import load_config
from device.config.models import AudioConfig
from device.config.secrets import read_stream_url
from device.errors import ConfigError

SECRET = "rtsp://cam:s3cret@camera.local/stream?token=t0ken"


def load(**values):
    return load_config(None, overrides=[f"audio.{key}={value}" for key, value in values.items()], environment={}).audio


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"source": "cam"}, "'microphone' or 'stream'"),
        ({"url": SECRET}, "contains a user or password. Write the address into a file, and set url_file to it"),
        ({"url": "rtsp://cam@camera.local/"}, "contains a user or password"),
        ({"url": "camera.local/stream"}, "must be an address with a host"),
        ({"url": "rtsp:/camera.local"}, "must be an address with a host"),
        ({"url": "rtsp://camera:port/x"}, "must be an address with a host"),
        ({"url": "file:///etc/passwd"}, "must be an address with a host"),
        ({"url": "ftp://camera/x"}, "must begin with one of rtsp, rtsps, http"),
        ({"url": "rtsp://camera.local/a b"}, "must be printable ASCII without spaces"),
        ({"source": "stream", "url": "rtsp://a/", "url_file": "x"}, "both set. Delete one of them"),
        ({"url": "rtsp://camera.local/"}, "source is microphone. Set source: stream"),
        ({"channels": "[0]"}, "greater than or equal to 1"),
        ({"channels": "[1, 1]"}, "must not contain a channel twice"),
        ({"channels": "2"}, "must be a valid list, as in [a, b]"),
    ],
)
def test_each_fault_of_the_source_has_a_cure(values, fault):
    """A fault of source, address or channels is one line with its cure, without a password."""
    with pytest.raises(ConfigError) as caught:
        load(**values)
    assert fault in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_the_address_comes_from_the_settings_a_file_or_a_credential(tmp_path, monkeypatch):
    """The key has priority over the credential of systemd; without any of them, the cure is named."""
    file = tmp_path / "stream_url"
    file.write_text(f"{SECRET}\n")
    assert read_stream_url(AudioConfig(source="stream", url_file=file), {}) == SECRET
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_stream_url(AudioConfig(source="stream"), credentials) == SECRET
    assert read_stream_url(AudioConfig(source="stream", url="http://radio/"), credentials) == "http://radio/"
    monkeypatch.setattr("device.config.secrets.STREAM_CREDENTIAL", tmp_path / "none")
    with pytest.raises(ConfigError, match=r"no address of the stream. Set audio.url"):
        read_stream_url(AudioConfig(source="stream"), {})


@pytest.mark.parametrize("content", ["", "\n", "cam:s3cret", "ftp://cam:s3cret@x/", "rtsp://cam:s3cret@x:y/"])
def test_a_bad_address_in_a_file_is_not_repeated(tmp_path, content):
    """The fault of a file is one line with its cure, which contains no part of the address."""
    file = tmp_path / "stream_url"
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        read_stream_url(AudioConfig(source="stream", url_file=file), {})
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
