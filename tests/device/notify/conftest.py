"""Fixtures of the tests of notifications: a clock that the test moves, and an HTTP service."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class FakeTime:
    """Monotonic clock and system clock, moved by the test.

    Attributes:
        steady: monotonic seconds.
        unix: Unix seconds.
    """

    def __init__(self, unix):
        self.steady, self.unix = 0.0, unix

    def move(self, seconds):
        """Move both clocks."""
        self.steady += seconds
        self.unix += seconds


class HttpService:
    """Service that takes JSON messages, and answers with the status in its address, else with `status`.

    Attributes:
        status: HTTP status of its answers.
        messages: the messages that it took or refused.
    """

    def __init__(self):
        service, self.status, self.messages = self, 200, []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                message = json.loads(self.rfile.read(int(self.headers["content-length"])))
                code = self.path.strip("/").partition("/")[0]
                service.messages.append(message)
                self.send_response(int(code) if code.isdecimal() else service.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self):
        """Answer requests."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield self
        self._server.shutdown()
        self._server.server_close()

    def bodies(self):
        """Return the texts of the messages."""
        return [message["message"] for message in list(self.messages)]


@pytest.fixture
def times(berlin_time):
    """Return clocks that show 2026-11-27 23:30 in Berlin."""
    return FakeTime(berlin_time(2026, 11, 27, 23, 30))


@pytest.fixture
def http_service():
    """Start a service."""
    with HttpService().running() as service:
        yield service


@pytest.fixture
def make_message(times):
    """Return a function that makes an event message of the present time."""
    from device.util.clock import rfc3339

    numbers = iter(range(1000))

    def make(kind="start", event_id="one", **more):
        message = {
            "id": str(next(numbers)),
            "event_id": event_id,
            "type": kind,
            "node_id": "balcony",
            "label": "siren",
            "confidence": 0.9,
            "start_time": rfc3339(times.unix),
            "replayed": False,
        }
        return message | more

    return make
