"""Fleet benchmark: the messages of many nodes on one mosquitto, its CPU time, losses and the delay until a subscriber.

    python benchmarks/fleet.py [--nodes 500] [--per-minute 12 120] [--seconds 60] [--setting LINE]

A real daemon first plays the demo's recording, and all its messages are recorded. Then each node is an MQTT client of
its own, with a will, which connects, publishes `status` and discovery, and repeats the daemon's other messages in their
order: events, `sound/...`, spectrogram, level, health, with their sizes and flags, under its own node id. A node
publishes `--per-minute` messages, evenly, at a phase of its own. One subscriber to everything measures delays; the time
of publishing stands in the last eight bytes of each payload. Last, all nodes publish one event at the same time.
"""

import argparse
import heapq
import multiprocessing
import os
import selectors
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
from checkout import ROOT
from figures import Figure, make_parser, note, publish
from paho.mqtt.enums import CallbackAPIVersion
from processes import cpu_seconds, resident_mb
from support import Mosquitto, Peer, wait_until

NODE = "recorded"
Message = tuple[str, bytes, bool]
"""Topic of the recorded node, payload, and whether it is retained."""
_TIME = struct.Struct("d")
CONTEXT = multiprocessing.get_context("spawn")


def record_messages(broker: Mosquitto, folder: Path) -> list[Message]:
    """Run the daemon on the demo's recording, and return its messages in their order."""
    peer = Peer(broker)
    recording = str(ROOT / "deploy" / "demo" / "street.flac")
    command = [sys.executable, "-m", "device", "run", "--quiet", "--input", recording]
    command += ["--speed", "max", "--exit-at-end", "--set", f"node_id={NODE}", "--set", f"mqtt.port={broker.port}"]
    environment = {**os.environ, "STATE_DIRECTORY": str(folder / "state"), "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, check=True, cwd=folder)
    wait_until(lambda: peer.last(f"earshot/{NODE}/status") == b"offline", 20, "the daemon's last message")
    peer.close()
    retained = {"status", "health", "spectrogram", "level", "sound", "unknown", "config"}
    return [
        (message.topic, message.payload, bool(retained & set(message.topic.split("/"))))
        for message in peer.messages
        if message.payload and not message.topic.endswith("/status")
    ]


def run_nodes(
    names: list[str], port: int, recorded: list[Message], rate: float, seconds: float, ready: Event, results: Queue
) -> None:
    """Run the clients of some nodes in one process, in turn; report messages published and acknowledged, CPU time, s.

    Args:
        names: node ids.
        port: port of the broker.
        recorded: messages to repeat.
        rate: messages of a node per second; 0 for one event at the same time of all.
        seconds: duration, s.
        ready: is set when all processes begin.
        results: receives the counts.
    """
    acknowledged, published, selector = [0], 0, selectors.DefaultSelector()
    clients: list[paho.Client] = []
    for name in names:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        client.on_publish = lambda *_: acknowledged.__setitem__(0, acknowledged[0] + 1)
        client.will_set(f"earshot/{name}/status", "offline", 1, retain=True)
        client.connect("127.0.0.1", port, keepalive=60)
        selector.register(client.socket(), selectors.EVENT_READ, client)
        clients.append(client)
        for topic, payload, retain in [message for message in recorded if message[0].endswith("/config")][:1]:
            client.publish(topic.replace(NODE, name), payload + _TIME.pack(0.0), 1, retain)
        client.publish(f"earshot/{name}/status", b"online" + _TIME.pack(0.0), 1, retain=True)
        published += 2
        serve(selector, clients, 0.0)
    messages = [message for message in recorded if not message[0].endswith("/config")]
    settle(selector, clients, acknowledged, published)
    results.put("connected")
    ready.wait()
    acknowledged[0], published = 0, 0
    rng, begun, used = np.random.default_rng(len(names)), time.monotonic(), time.process_time()
    event = next(message for message in messages if message[0].endswith("/event"))
    due = [(begun + rng.uniform(0, 1 / rate) if rate else begun, number, 0) for number in range(len(names))]
    heapq.heapify(due)
    while due and due[0][0] < begun + seconds:
        serve(selector, clients, due[0][0] - time.monotonic())
        while due and due[0][0] <= time.monotonic():
            when, number, count = heapq.heappop(due)
            topic, payload, retain = messages[(count + 7 * number) % len(messages)] if rate else event
            topic = topic.replace(NODE, names[number])
            clients[number].publish(topic, payload + _TIME.pack(time.monotonic()), 1, retain)
            published += 1
            if rate:
                heapq.heappush(due, (when + 1 / rate, number, count + 1))
    settle(selector, clients, acknowledged, published)
    results.put((published, acknowledged[0], time.process_time() - used))
    for client in clients:
        client.disconnect()


def serve(selector: selectors.BaseSelector, clients: list[paho.Client], seconds: float) -> None:
    """Read and write what is due on the connections, for at most some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        for key, _ in selector.select(max(0.0, min(deadline - time.monotonic(), 0.5))):
            key.data.loop_read()
        for client in clients:
            if client.want_write():
                client.loop_write()
            client.loop_misc()
        if time.monotonic() >= deadline:
            return


def settle(selector: selectors.BaseSelector, clients: list[paho.Client], acknowledged: list[int], count: int) -> None:
    """Wait until the broker has acknowledged all messages, 30 s at most."""
    deadline = time.monotonic() + 30
    while acknowledged[0] < count and time.monotonic() < deadline:
        serve(selector, clients, 0.05)


def subscribe(port: int, ready: Event, stop: Event, results: Queue) -> None:
    """Subscribe to everything; report the delay of each message that was sent with a time, s, and CPU time, s."""
    delays: list[float] = []
    used = time.process_time()
    client = paho.Client(CallbackAPIVersion.VERSION2)

    def on_message(_client: object, _data: object, message: paho.MQTTMessage) -> None:
        sent = _TIME.unpack(message.payload[-8:])[0] if len(message.payload) > 8 else 0.0
        if sent and not message.retain:
            delays.append(time.monotonic() - sent)

    client.on_message = on_message
    client.on_connect = lambda client, *_: client.subscribe("#", 1)
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    stop.wait()
    count = -1
    while count != len(delays):
        count = len(delays)
        time.sleep(1.0)
    client.loop_stop()
    results.put((delays, time.process_time() - used))


@dataclass(frozen=True)
class Measured:
    """Measurements of one load.

    Attributes:
        seconds: time from the first publish to the last acknowledgement, s.
        published, acknowledged: numbers of messages; the broker has acknowledged the latter.
        delays_ms: time from each publish to the subscriber, ms.
        broker_seconds: CPU time of the broker, s.
        broker_mb: resident memory of the broker, MB.
        clients_seconds: CPU time of the nodes and of the subscriber, s.
    """

    seconds: float
    published: int
    acknowledged: int
    delays_ms: np.ndarray
    broker_seconds: float
    broker_mb: float
    clients_seconds: float


def measure(options: argparse.Namespace, recorded: list[Message], rate: float, broker: Mosquitto) -> Measured:
    """Run all nodes and the subscriber; return counts, delays and the broker's CPU time."""
    names = [f"fleet-{number:04}" for number in range(options.nodes)]
    begin, listening, stop = CONTEXT.Event(), CONTEXT.Event(), CONTEXT.Event()
    results, delay_results = CONTEXT.Queue(), CONTEXT.Queue()
    subscriber = CONTEXT.Process(target=subscribe, args=(broker.port, listening, stop, delay_results))
    subscriber.start()
    listening.wait()
    shares = [names[number :: options.processes] for number in range(options.processes)]
    nodes = [
        CONTEXT.Process(target=run_nodes, args=(share, broker.port, recorded, rate, options.seconds, begin, results))
        for share in shares
    ]
    for node in nodes:
        node.start()
    for _ in nodes:
        assert results.get() == "connected"
    time.sleep(3.0)  # the subscriber receives status and discovery of all
    before, begun = cpu_seconds(broker.pid), time.monotonic()
    begin.set()
    counts = [results.get() for _ in nodes]
    used, elapsed = cpu_seconds(broker.pid) - before, time.monotonic() - begun
    memory = resident_mb(broker.pid)
    stop.set()
    delays, subscriber_used = delay_results.get()
    for process in (*nodes, subscriber):
        process.join()
    published, acknowledged, nodes_used = map(sum, zip(*counts, strict=True))
    delays_ms, clients_used = np.array(delays) * 1e3, nodes_used + subscriber_used
    return Measured(elapsed, published, acknowledged, delays_ms, used, memory, clients_used)


def figures(measured: Measured, nodes: int, rate: float) -> Iterator[Figure]:
    """Yield the figures of one load; nothing may be lost."""
    kind = f"{nodes} nodes, " + (f"{rate:g} messages a minute each" if rate else "one event of all at once")
    note(f"{kind}: {measured.published} messages, {measured.published / measured.seconds:.0f} a second")
    lost = measured.published - len(measured.delays_ms)
    yield Figure(f"messages lost, {kind}", lost, "messages", goal=0.0)
    yield Figure(f"delay of a message, {kind}", float(np.median(measured.delays_ms)), "ms")
    yield Figure(f"delay of a message, 99 %, {kind}", float(np.percentile(measured.delays_ms, 99)), "ms")
    yield Figure(f"the broker's CPU for a message, {kind}", measured.broker_seconds / measured.published * 1e3, "ms")
    yield Figure(f"the clients' CPU for a message, {kind}", measured.clients_seconds / measured.published * 1e3, "ms")
    yield Figure(f"the broker's memory, {kind}", measured.broker_mb, "MB")


def main() -> None:
    """Measure each rate, and one event of all nodes at the same time."""
    parser = make_parser(__doc__)
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--per-minute", type=float, nargs="+", default=[12, 120], help="messages of a node a minute")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--setting", nargs="*", default=[], help='of mosquitto, as in "max_queued_messages 100000"')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        broker = Mosquitto(Path(name), "\n".join(["allow_anonymous true", *options.setting]))
        broker.start()
        try:
            recorded = record_messages(broker, Path(name))
            size = np.mean([len(payload) for _, payload, _ in recorded])
            note(f"{len(recorded)} recorded messages, {size:.0f} bytes on average")
            for rate in (*options.per_minute, 0.0):
                measured = measure(options, recorded, rate / 60, broker)
                publish(figures(measured, options.nodes, rate), as_json=options.json)
        finally:
            broker.close()


if __name__ == "__main__":
    main()
