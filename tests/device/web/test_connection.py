"""Tests of the page's connections: clients that are slow, silent or many keep nobody out."""

import asyncio
import contextlib

import pytest
import uvicorn
from starlette.responses import PlainTextResponse, Response

from device.util.catalogue import translator
from device.web import connection, live
from device.web.connection import Connection, RequestLimit
from device.web.live import LiveResponse, LiveStream

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextlib.asynccontextmanager
async def serving(app):
    """Serve an application on loopback; yield a function that opens a connection and sends bytes."""
    options = uvicorn.Config(RequestLimit(app), http=Connection, port=0, lifespan="off", ws="none", log_config=None)
    server = uvicorn.Server(options)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    writers = []

    async def send(data, **options):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
        writers.append(writer)
        writer.write(data)
        return reader

    yield send
    for writer in writers:
        writer.close()
    server.should_exit = True
    await task


async def status(reader):
    """Return the status of an answer."""
    async with asyncio.timeout(20):
        return int((await reader.readexactly(12))[9:])


async def closed(reader):
    """Return True when the page closes the connection without an answer."""
    async with asyncio.timeout(20):
        try:
            return await reader.read() == b""
        except ConnectionResetError:
            return True


@pytest.mark.parametrize(
    "sent",
    [b"", REQUEST[:-2], b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nlabel"],
    ids=["nothing", "half a head", "half a body"],
)
def test_an_unfinished_request_is_closed(monkeypatch, sent):
    """A connection without a whole request is closed after its time."""
    monkeypatch.setattr(connection, "_REQUEST_SECONDS", 0.2)

    async def app(_scope, receive, _send):
        while (await receive()).get("more_body"):
            pass

    async def scene():
        async with serving(app) as send:
            assert await closed(await send(sent))

    asyncio.run(scene())


def test_a_slow_next_request_is_closed(monkeypatch):
    """The time holds for each request of a connection, also after an answer."""
    monkeypatch.setattr(connection, "_REQUEST_SECONDS", 0.2)

    async def scene():
        async with serving(PlainTextResponse("hello")) as send:
            reader = await send(REQUEST + REQUEST[:9])
            assert (await asyncio.wait_for(reader.read(), 20)).count(b"hello") == 1

    asyncio.run(scene())


def test_an_answer_that_nobody_reads_is_closed(monkeypatch):
    """A browser that does not read is closed, and what it would have received is dropped."""
    monkeypatch.setattr(connection, "_READING_SECONDS", 0.2)
    ended = asyncio.Event()

    async def app(scope, receive, send):
        await Response(b"x" * 50_000_000)(scope, receive, send)
        ended.set()

    async def scene():
        async with serving(app) as send:
            await send(REQUEST, limit=1)
            await asyncio.wait_for(ended.wait(), 20)

    asyncio.run(scene())


def test_silent_connections_keep_nobody_out(monkeypatch):
    """A new connection takes the place of the oldest silent one, and is answered."""
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 5)

    async def scene():
        async with serving(PlainTextResponse("hello")) as send:
            silent = [await send(b"") for _ in range(12)]
            assert await status(await send(REQUEST)) == 200
            assert all(await asyncio.gather(*(closed(reader) for reader in silent[:8])))

    asyncio.run(scene())


def test_requests_beyond_the_limit_are_refused_with_a_cure(monkeypatch):
    """A request beyond the limit is answered with 503 and a cure; after the others, it is answered."""
    monkeypatch.setattr(connection, "MOST_REQUESTS", 2)
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await go_on.wait()
        await PlainTextResponse("hello")(scope, receive, send)

    async def scene():
        async with serving(app) as send:
            first = [await send(REQUEST) for _ in range(2)]
            await asyncio.sleep(0.1)
            refused = await asyncio.wait_for((await send(REQUEST)).readuntil(b"minute"), 20)
            assert b" 503 " in refused
            assert b"too many requests" in refused
            go_on.set()
            assert [await status(reader) for reader in first] == [200, 200]
            assert await status(await send(REQUEST)) == 200

    asyncio.run(scene())


def test_viewers_beyond_the_limit_are_refused(feed, monkeypatch):
    """Viewers that come at once are admitted up to the limit; a place that becomes free is given again."""
    monkeypatch.setattr(live, "MOST_VIEWERS", 3)
    monkeypatch.setattr(live, "_PERIOD_SECONDS", 0.01)
    monkeypatch.setattr(live, "_SILENT_PERIODS", 1)
    stream = LiveStream(feed)

    async def app(scope, receive, send):
        await LiveResponse(stream, translator("en"))(scope, receive, send)

    async def scene():
        async with serving(app) as send:
            readers = await asyncio.gather(*(send(REQUEST) for _ in range(8)))
            assert sorted([await status(reader) for reader in readers]) == [200] * 3 + [503] * 5
        async with serving(app) as send:
            assert await status(await send(REQUEST)) == 200

    asyncio.run(scene())
