"""Load of the page: 200 clients and slow readers at `earshot web`, beside a daemon that listens in real time.

    python benchmarks/page_load.py [--clients 200] [--seconds 60]

A PulseAudio with a null sink is the microphone, and a mosquitto the broker. The daemon hears the demo's recording again
and again. It is measured without clients, with them, and without them again: CPU time, and lost sound from its health
message. A quarter of the clients watch live values, a quarter open the day again and again, a quarter read a byte a
second, and a quarter send a byte a second of a request that never ends. A user opens the day each second.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from checkout import ROOT
from figures import Figure, make_parser, note, publish
from processes import cpu_seconds, resident_mb
from support import Mosquitto, Peer, SoundServer, free_port, wait_until
from whole_daemon import playing

GET = "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
Counts = tuple[int, int]
"""Lost sound in milliseconds, and number of classified windows, since the daemon's start."""
DAYS_EVENTS = 500
"""Events of the day that clients open."""
RETRY_SECONDS = 1.0
"""Pause of a client after an answer, or after a refusal, s."""


class Clients:
    """Clients of the page.

    Attributes:
        answers: number of answers by kind of client and status; 0 for a connection that the page closed.
        user_seconds: time of each answer to the user.

    Args:
        port: port of the page on loopback.
        until: `time.monotonic` of the end.
    """

    def __init__(self, port: int, until: float) -> None:
        self.answers: dict[str, collections.Counter[int]] = collections.defaultdict(collections.Counter)
        self.user_seconds: list[float] = []
        self._port, self._until = port, until

    async def run(self, number: int) -> None:
        """Run so many clients, in equal parts, and the user, until the end."""
        kinds = (self._watch, self._open_day, self._read_slowly, self._send_slowly)
        clients = [self._repeat(kinds[index % len(kinds)]) for index in range(number)]
        await asyncio.gather(self._repeat(self._use), *clients)

    async def _repeat(self, client: Callable[[], Awaitable[None]]) -> None:
        name = client.__name__.strip("_")
        while time.monotonic() < self._until:
            try:
                async with asyncio.timeout(self._until - time.monotonic()):
                    await client()
            except TimeoutError:
                return
            except (OSError, asyncio.IncompleteReadError):
                self.answers[name][0] += 1
            await asyncio.sleep(RETRY_SECONDS)

    async def _watch(self) -> None:
        async with self._request("/live", "watch") as reader:
            while await reader.read(1024):
                pass

    async def _open_day(self) -> None:
        async with self._request("/", "open_day") as reader:
            await reader.read()

    async def _use(self) -> None:
        begun = time.monotonic()
        async with self._request("/", "use") as reader:
            await reader.read()
        self.user_seconds.append(time.monotonic() - begun)

    async def _read_slowly(self) -> None:
        async with self._request("/", "read_slowly", limit=1) as reader:
            while await reader.read(1):
                await asyncio.sleep(1)

    async def _send_slowly(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            for byte in GET.format(path="/?label=" + 8000 * "a").encode():
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(1)
                if reader.at_eof():
                    raise ConnectionResetError
        finally:
            writer.close()

    @contextlib.asynccontextmanager
    async def _request(self, path: str, name: str, limit: int = 65536) -> AsyncIterator[asyncio.StreamReader]:
        """Send a request, and count the status of its answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=limit)
        try:
            writer.write(GET.format(path=path).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode())
            head = await reader.readexactly(12)
            self.answers[name][int(head[9:])] += 1
            yield reader
        finally:
            writer.close()


def write_history(state: Path) -> None:
    """Write the events of today into the history."""
    from history_events import LABELS, end_message  # of the tests
    from history_events import write_history as write

    now = time.time()
    messages = [end_message(now - 60 * index, LABELS[index % len(LABELS)]) for index in range(DAYS_EVENTS)]
    write(state / "history.db", messages)


@dataclass(frozen=True)
class Measured:
    """Measurements with a number of clients.

    Attributes:
        daemon_ms: CPU time of the daemon, ms a second.
        page_ms: CPU time of the page, ms a second.
        page_mb: most memory of the page, MB.
        user_seconds: median and longest time of an answer to the user, s.
    """

    daemon_ms: float
    page_ms: float
    page_mb: float
    user_seconds: tuple[float, float]


def measure(number: int, options: argparse.Namespace, page: int, daemon: int, port: int) -> Measured:
    """Measure with a number of clients."""
    before, begun = (cpu_seconds(daemon), cpu_seconds(page)), time.monotonic()
    clients = Clients(port, begun + options.seconds)
    most = resident_mb(page)

    async def run() -> None:
        nonlocal most
        load = asyncio.create_task(clients.run(number))
        while not load.done():
            await asyncio.sleep(0.5)
            most = max(most, resident_mb(page))
        await load

    asyncio.run(run())
    seconds = time.monotonic() - begun
    spent = [(cpu_seconds(pid) - earlier) / seconds * 1e3 for pid, earlier in zip((daemon, page), before, strict=True)]
    note(f"{number} clients: {len(list(Path(f'/proc/{page}/fd').iterdir()))} descriptors at the end")
    for kind, statuses in clients.answers.items():
        note(f"  {kind}: {dict(statuses)}")
    times = clients.user_seconds
    return Measured(*spent, most, (statistics.median(times), max(times)))


def figures(alone: Measured, loaded: Measured, number: int, lost_ms: float) -> Iterator[Figure]:
    """Yield the figures with clients, beside those without."""
    peer, load = "the same without clients", f"{number} clients"
    yield Figure(f"the daemon's CPU, {load}", loaded.daemon_ms, "ms/s of CPU", alone.daemon_ms, peer)
    yield Figure(f"the page's CPU, {load}", loaded.page_ms, "ms/s of CPU", alone.page_ms, peer)
    yield Figure(f"the page's memory, {load}", loaded.page_mb, "MB", alone.page_mb, peer)
    yield Figure(f"answer to the user, {load}", loaded.user_seconds[0], "s", alone.user_seconds[0], peer)
    yield Figure(f"answer to the user, longest, {load}", loaded.user_seconds[1], "s", alone.user_seconds[1], peer)
    yield Figure(f"lost sound, {load}", lost_ms, "ms", goal=0.0)


def main() -> None:
    """Start broker, microphone, daemon and page, and measure."""
    parser = make_parser(__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)  # the length of the recording
    options = parser.parse_args()
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        state = Path(folder) / "state"
        state.mkdir()
        write_history(state)
        broker, server = Mosquitto(Path(folder)), SoundServer(Path(folder))
        stack.callback(broker.close)
        stack.callback(server.close)
        broker.start()
        peer = stack.enter_context(contextlib.closing(Peer(broker)))
        street = Path(folder) / "street.wav"
        recording = ROOT / "deploy" / "demo" / "street.flac"
        subprocess.run(["ffmpeg", "-v", "error", "-i", recording, street], check=True)
        stack.enter_context(playing(street, server))
        environment = {**server.environment, "STATE_DIRECTORY": str(state), "PYTHONPATH": str(ROOT)}
        port = free_port()

        def start(*arguments: str) -> int:
            command = [sys.executable, "-m", "device", *arguments, "--set", f"mqtt.port={broker.port}"]
            command += ["--set", "node_id=load", "--set", "model.bundle=models/urbansound8k-light"]
            with (Path(folder) / f"{arguments[0]}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log))
            stack.callback(processes[-1].wait)
            stack.callback(processes[-1].terminate)
            return processes[-1].pid

        daemon, page = start("run"), start("web", "--port", str(port))
        peer.until("earshot/load/status", b"online")

        def health() -> Counts:
            known = len(peer.payloads("earshot/load/health"))
            wait_until(lambda: len(peer.payloads("earshot/load/health")) > known, 90, "the health message")
            message = json.loads(peer.last("earshot/load/health"))
            return message["lost_audio_ms"], message["windows"]["classified"]

        wait_until(lambda: httpx.get(f"http://127.0.0.1:{port}/login").is_success, 60, "the page")
        day = httpx.get(f"http://127.0.0.1:{port}/").content
        note(f"a day of {DAYS_EVENTS} events: {len(day) / 1e3:.1f} kB")
        measured, counts = [], [health()]
        for number in (0, options.clients, 0):
            measured.append(measure(number, options, page, daemon, port))
            counts.append(health())
            lost_ms, windows = (after - before for before, after in zip(counts[-2], counts[-1], strict=True))
            note(f"{number} clients: {lost_ms} ms of sound lost, {windows} windows classified until the health message")
        alone, loaded, _ = measured
        publish(figures(alone, loaded, options.clients, counts[2][0] - counts[1][0]), as_json=options.json)


if __name__ == "__main__":
    main()
