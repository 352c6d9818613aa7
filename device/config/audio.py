"""Settings of the sound input: a microphone or a stream, and its channels."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from device.config.base import Section
from device.util.urls import public_name

STREAM_SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "tcp", "udp", "rtp")
"""Schemes of the addresses of streams. ffmpeg reads further ones, among them files of this machine."""


class AudioConfig(Section):
    """Sound input."""

    source: Literal["microphone", "stream"] = "microphone"
    """Source of the sound: microphone, or stream (the sound of a camera, or of any other address that ffmpeg reads:
    docs/sources.md)."""
    device: str = "auto"
    """Microphone: auto (a USB microphone if there is one, else the system's default), usb:VENDOR:PRODUCT, the same with
    @PORT if there are two of a kind, or a part of its name. `earshot devices` lists them. The daemon waits for a
    microphone that is absent. auto leaves one that is silent for another."""
    url: str | None = None
    """Address of the stream, as in rtsp://camera.local/stream, without user and password; null: see `url_file`."""
    url_file: Path | None = None
    """File with the address of the stream on its first line, as in rtsp://USER:PASSWORD@camera.local/stream; a relative
    path starts at the folder of the config file. An address with a password is never written in the config file or on
    the command line. null: /etc/credstore/earshot.stream_url if it exists and `url` is null."""
    channels: tuple[Annotated[int, Field(ge=1, le=64)], ...] = ()
    """Channels of the microphone or stream that are averaged, counted from 1, as in [2] for the second microphone of an
    interface; []: all of a stream, and at most the first two of a microphone."""
    queue_seconds: Annotated[float, Field(ge=1, le=60)] = 10.0
    """Longest sound that waits for classification, in seconds. Beyond it, the oldest is dropped and counted as lost."""

    @field_validator("url")
    @classmethod
    def _is_an_address_without_password(cls, value: str | None) -> str | None:
        if value is not None:
            if (fault := url_fault(value)) is not None:
                raise ValueError(fault)
            if "@" in urlsplit(value).netloc:
                raise ValueError("contains a user or password. Write the address into a file, and set url_file to it")
        return value

    @field_validator("channels")
    @classmethod
    def _differ(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError("must not contain a channel twice")
        return value

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if self.url is not None and self.url_file is not None:
            raise ValueError("url and url_file are both set. Delete one of them")
        if self.source == "microphone" and (self.url or self.url_file):
            raise ValueError("the address of a stream is set, but source is microphone. Set source: stream")
        return self


def url_fault(url: str) -> str | None:
    """Return the fault of a stream's address, with the cure and without the address; None if it has none."""
    if not (url.isascii() and url.isprintable() and " " not in url):
        return "must be printable ASCII without spaces. Write other characters as %XX, as in %20 for a space"
    try:
        scheme = public_name(url).partition("://")[0]
    except ValueError:
        return "must be an address with a host, as in rtsp://camera.local/stream"
    if scheme not in STREAM_SCHEMES:
        return f"must begin with one of {', '.join(STREAM_SCHEMES)}, as in rtsp://camera.local/stream"
    return None
