"""Connections of browsers: limits of their number and of time, which uvicorn has for finished requests only.

A connection that sends no request, or reads no answer, costs memory and a file descriptor for as long as it stays. Some
hundred of them would keep all others out.
"""

import asyncio
from typing import Any, Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS: Final = 100
MOST_REQUESTS: Final = 80
"""Requests that are answered at once. The others are refused, so that a hundred viewers take no memory."""
_REQUEST_SECONDS: Final = 10
"""Time for a whole request, from the opening of its connection or its first byte, s."""
_READING_SECONDS: Final = 30
"""Time in which a browser must read what fills the buffer of its connection, s."""


class _TimeLimit:
    """Time after which a connection is aborted."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def start(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Start, unless it runs already."""
        if self._timer is None:
            self._timer = loop.call_later(seconds, transport.abort)

    def end(self) -> None:
        """Leave the connection as it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Connection(H11Protocol):
    """HTTP connection that is closed if its browser sends no whole request, or reads no answer, in time.

    A new one beyond `MOST_CONNECTIONS` takes the place of the oldest that is not being answered.

    Attributes:
        opened: time of its beginning, on the clock of the event loop, s.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.opened = 0.0
        self._sending, self._reading = _TimeLimit(), _TimeLimit()

    @property
    def awaits_request(self) -> bool:
        """True unless a whole request is being answered."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin with a new connection."""
        super().connection_made(transport)
        self.opened = self.loop.time()
        self._sending.start(self.transport, self.loop, _REQUEST_SECONDS)
        if len(self.connections) > MOST_CONNECTIONS:
            waiting = [each for each in self.connections if isinstance(each, Connection) and each.awaits_request]
            min(waiting, key=lambda each: each.opened).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End with the connection."""
        self._sending.end()
        self._reading.end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request. The time of the whole request is limited, not that of each part."""
        super().data_received(data)
        if not self.awaits_request:
            self._sending.end()
        else:
            self._sending.start(self.transport, self.loop, _REQUEST_SECONDS)

    def pause_writing(self) -> None:
        """Wait until the browser has read."""
        super().pause_writing()
        self._reading.start(self.transport, self.loop, _READING_SECONDS)

    def resume_writing(self) -> None:
        """Continue, because the browser has read."""
        super().resume_writing()
        self._reading.end()


class RequestLimit:
    """ASGI middleware that refuses requests beyond `MOST_REQUESTS` in progress, with a cure.

    Args:
        app: the page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if self._requests >= MOST_REQUESTS:
            await busy("too many requests at once")(scope, receive, send)
            return
        self._requests += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= 1


def busy(fault: str) -> PlainTextResponse:
    """Return the answer to a request that is refused for now."""
    return PlainTextResponse(f"{fault}. Try again in a minute\n", 503, {"Retry-After": "60"})
