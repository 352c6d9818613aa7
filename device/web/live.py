"""Live values: server-sent events to a browser, twice a second at most, and only while a page is open.

For that time the daemon is asked for its `live` messages, once for all viewers.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Literal

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from device.mqtt.subscriber import finite_number
from device.util.catalogue import Translate, name_of_label, translator
from device.web.connection import busy
from device.web.health_view import part_of
from device.web.live_view import view_live
from device.web.node_feed import NodeFeed

MOST_VIEWERS: Final = 20
"""Browsers that may watch at once. Each holds a connection."""
_PERIOD_SECONDS: Final = 0.5
_SILENT_PERIODS: Final = 30
"""Periods without a change after which a comment keeps the connection open."""
_NEAREST: Final = 3
"""Near misses that are shown."""
_LIVE_SECONDS: Final = 30
"""Time for which the daemon is asked for live values, s."""
_ASK_SECONDS: Final = 15.0
"""Time after which it is asked again, s: one request may be lost."""
_FRESH_SECONDS: Final = 3.0
"""Age up to which a `live` message is shown, s."""
_ANSWER_SECONDS: Final = 5.0
"""Time for the first `live` message, s."""


Measuring = Literal["yes", "starts", "off", "no_sound", "no_answer"]
"""State of the `live` messages: they arrive; are awaited; the daemon is off; it has no sound; it does not answer."""


class LiveStream:
    """Server-sent events for all viewers. Used from the event loop.

    Args:
        feed: what the daemon publishes.
    """

    def __init__(self, feed: NodeFeed) -> None:
        self._feed = feed
        self._viewers = 0
        self._asking: asyncio.Task[None] | None = None
        self._first_asked_at: float | None = None
        self._made: dict[str, tuple[object, str]] = {}

    @contextlib.contextmanager
    def admit(self) -> Iterator[bool]:
        """Admit a viewer for the time of the context; False if there are `MOST_VIEWERS` already.

        The daemon is asked for `live` messages from the first viewer to the last one.
        """
        if self._viewers >= MOST_VIEWERS:
            yield False
            return
        self._viewers += 1
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        try:
            yield True
        finally:
            self._viewers -= 1
            if not self._viewers and self._asking is not None:
                self._asking.cancel()
                self._asking = None

    async def events(self, language: str) -> AsyncIterator[str]:
        """Yield the values as they change, in a language, without end; see `live_values`."""
        seen: object = None
        silent = 0
        while True:
            version, text = self._values(language)
            if version != seen:
                seen, silent = version, 0
                yield text
            elif silent >= _SILENT_PERIODS:
                silent = 0
                yield ": nothing new\n\n"
            await asyncio.sleep(_PERIOD_SECONDS)
            silent += 1

    def _values(self, language: str) -> tuple[object, str]:
        """Return the present values as an event of the stream, made once for all viewers, with their version."""
        measuring = self._measuring()
        version = self._feed.version, measuring
        if language not in self._made or self._made[language][0] != version:
            values = live_values(self._feed, translator(language), measuring)
            self._made[language] = version, f"data: {json.dumps(values)}\n\n"
        return self._made[language]

    async def _ask(self) -> None:
        """Ask for `live` messages again and again; at once when the daemon comes online."""
        self._first_asked_at, asked_at = None, 0.0
        while True:
            now = time.monotonic()
            if not is_online(self._feed):
                self._first_asked_at = None
            elif self._first_asked_at is None or now - asked_at >= _ASK_SECONDS:
                asked_at = now
                self._first_asked_at = self._first_asked_at or now
                self._feed.ask_for_live(_LIVE_SECONDS)
            await asyncio.sleep(_PERIOD_SECONDS)

    def _measuring(self) -> Measuring:
        feed, asked_at = self._feed, self._first_asked_at
        if not is_online(feed) or feed.text("listening") == "OFF":
            return "off"
        if feed.seconds_since("live") < _FRESH_SECONDS:
            return "yes"
        if asked_at is None or time.monotonic() - asked_at < _ANSWER_SECONDS:
            return "starts"
        has_sound = part_of(feed.message("health"), "microphone").get("state", "ok") == "ok"
        return "no_answer" if has_sound else "no_sound"


class LiveResponse(Response):
    """Response with live values until the viewer leaves, or the refusal of a viewer too many.

    Viewers are counted while the response is sent: two hundred may be waiting before the first one is.

    Args:
        stream: the live values.
        language: code of the viewer's language.
    """

    def __init__(self, stream: LiveStream, language: str) -> None:
        super().__init__()
        self._stream, self._language = stream, language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        with self._stream.admit() as is_admitted:
            response: Response = busy(f"{MOST_VIEWERS} viewers watch live values already")
            if is_admitted:
                events = self._stream.events(self._language)
                response = StreamingResponse(
                    events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
                )
            await response(scope, receive, send)


def is_online(feed: NodeFeed) -> bool:
    """Return whether the daemon runs, as far as the broker has it."""
    return feed.is_connected and feed.text("status") == "online"


def live_values(feed: NodeFeed, translate: Translate, measuring: Measuring = "starts") -> dict[str, Any]:
    """Return the live values: state of the daemon, labels that sound now, last event, near misses, level and gate.

    Args:
        feed: what the daemon publishes.
        translate: translates labels into the viewer's language.
        measuring: whether its `live` messages arrive.
    """
    event, health = feed.message("event"), feed.message("health")
    misses = health.get("near_misses")
    near = [miss for miss in misses if isinstance(miss, dict)] if isinstance(misses, list) else []

    def name(message: dict[str, Any]) -> str:
        return name_of_label(str(message.get("label", "")), translate)

    return {
        "online": is_online(feed),
        "listening": feed.text("listening") != "OFF",
        "sounding": [name_of_label(slug, translate) for slug, state in feed.states("sound").items() if state == "ON"],
        "unknown": feed.text("unknown/last"),
        "last": {
            "label": name(event),
            "level_dbfs": finite_number(event.get("level_dbfs")),
            "gate": str(event.get("gate", "")),
            "start_time": str(event.get("start_time", "")),
        },
        "near": [
            {"label": name(miss), "confidence": finite_number(miss.get("confidence"))} for miss in near[-_NEAREST:]
        ],
        "measuring": measuring,
        "live": view_live(feed.message("live"), translate) if measuring == "yes" else None,
    }
