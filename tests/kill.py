"""Kill test: broker, daemon and network fail in random order, while a subscriber counts the events.

    python tests/kill.py [--seed N] [--times 20]

Prints one line of JSON; exit code 1 if an event was lost, arrived out of order, or arrived with two ids. An event that
the broker acknowledged and lost in its own kill -9 is counted separately. `tests/test_kill.py` runs a short test.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import paho.mqtt.client as paho  # noqa: E402
from paho.mqtt.enums import CallbackAPIVersion  # noqa: E402
from support import Mosquitto, free_port, wait_until  # noqa: E402

from device.outbox.sqlite_table import SqliteTable  # noqa: E402

DEMO_RECORDING = ROOT / "deploy" / "demo" / "street.flac"
BROKER_CONFIG = """
user root
allow_anonymous true
max_queued_messages 0
persistence true
persistence_location {}/
autosave_interval 1
autosave_on_changes true
"""
"""The broker drops no message, and stores each change at once."""


@dataclass
class Count:
    """Counts of event messages.

    Attributes:
        made: messages with a sequence number.
        received: messages that arrived at least once.
        repeated: messages that arrived again.
        late: messages that arrived on event/backlog.
        lost: messages neither received nor acknowledged by the broker: lost by the daemon.
        forgotten: messages acknowledged by the broker and not received: lost by the broker.
        out_of_order: messages that arrived after a later one of the same topic.
        two_ids: sequence numbers that arrived with two ids.
    """

    made: int
    received: int
    repeated: int
    late: int
    lost: int
    forgotten: int
    out_of_order: int
    two_ids: int

    @property
    def is_clean(self):
        """True if the daemon lost no message and kept the order."""
        return not (self.lost or self.out_of_order or self.two_ids) and self.made > 0


class Recorder:
    """Subscriber with a persistent session."""

    def __init__(self, broker):
        self.received = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "recorder", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("earshot/test/event/#", 1)
        self._client.on_message = lambda _c, _d, message: self.received.append(
            (message.topic, json.loads(message.payload))
        )
        self._client.connect("127.0.0.1", broker.port, keepalive=5)
        self._client.loop_start()

    def close(self):
        """Disconnect from the broker."""
        self._client.disconnect()
        self._client.loop_stop()


class Daemon:
    """The real daemon, with the demo's recording repeated as input, at full speed."""

    def __init__(self, folder, port):
        self._state, self._port = folder / "state", port
        self._recordings = folder / "recordings"
        self._recordings.mkdir()
        for number in range(200):
            (self._recordings / f"{number}.flac").symlink_to(DEMO_RECORDING)
        self._log = (folder / "daemon.log").open("a")
        self._process = None

    def start(self, recording=None):
        """Start the daemon on one recording, or on all without an argument."""
        command = [sys.executable, "-m", "device", "run", "--input", recording or self._recordings, "--speed", "max"]
        command += ["--exit-at-end"] if recording else []
        for setting in (f"mqtt.port={self._port}", "mqtt.host=127.0.0.1", "node_id=test", "mqtt.keepalive_seconds=5"):
            command += ["--set", setting]
        environment = {**os.environ, "STATE_DIRECTORY": str(self._state), "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(command, env=environment, stderr=self._log)

    def kill(self):
        """Kill the daemon with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def finish(self):
        """Run one more recording until the outbox is empty, and return the last sequence number."""
        self.kill()
        deadline = time.monotonic() + 120
        while True:
            self.start(DEMO_RECORDING)
            if self._process.wait(timeout=120) == 0:
                break
            assert time.monotonic() < deadline, "the daemon could not empty its outbox"
        outbox = SqliteTable(self._state / "outbox.sqlite")
        totals = outbox.totals()
        outbox.close()
        assert totals.waiting == 0
        return totals.last_sequence

    def close(self):
        """Kill the daemon, and close its log."""
        self.kill()
        self._log.close()


def disturb(action, rng, broker, daemon, relay):
    """Cause one failure, and end it after a random time."""
    if action == "daemon":
        daemon.kill()
        daemon.start()
        time.sleep(rng.uniform(1, 5))
    elif action == "network":
        relay.send_signal(signal.SIGSTOP)
        time.sleep(rng.uniform(0.5, 12))
        relay.send_signal(signal.SIGCONT)
    else:
        broker.stop() if action == "stop" else broker.kill()
        time.sleep(rng.uniform(0, 3))
        broker.start()


def run(folder, seed, actions):
    """Cause the failures in random order, and return the counts."""
    rng = random.Random(seed)
    (folder / "broker").mkdir()
    broker = Mosquitto(folder, BROKER_CONFIG.format(folder / "broker"))
    broker.start()
    port, acknowledged = free_port(), folder / "acknowledged"
    relay = subprocess.Popen([sys.executable, ROOT / "tests" / "relay.py", str(port), str(broker.port), acknowledged])
    recorder, daemon = Recorder(broker), Daemon(folder, port)
    try:
        daemon.start()
        wait_until(lambda: recorder.received, 60, "the first event")
        for action in rng.sample(actions, len(actions)):
            time.sleep(rng.uniform(0.2, 2))
            disturb(action, rng, broker, daemon, relay)
        made = daemon.finish()
        wait_until(lambda: any(m["sequence"] == made for _, m in recorder.received), 60, "the last event")
    finally:
        daemon.close()
        recorder.close()
        relay.kill()
        broker.close()
    return count(made, recorder.received, {int(line) for line in acknowledged.read_text().split()})


def count(made, received, acknowledged):
    """Compare the messages made, received, and acknowledged by the broker."""
    ids, orders = {}, {}
    for topic, message in received:
        if message["sequence"] not in ids:
            orders.setdefault(topic, []).append(message["sequence"])
        ids.setdefault(message["sequence"], []).append(message["id"])
    missing = set(range(1, made + 1)) - ids.keys()
    return Count(
        made=made,
        received=len(ids),
        repeated=len(received) - len(ids),
        late=sum(topic.endswith("backlog") for topic, _ in received),
        lost=len(missing - acknowledged),
        forgotten=len(missing & acknowledged),
        out_of_order=sum(
            later < max(order[:number]) for order in orders.values() for number, later in enumerate(order) if number
        ),
        two_ids=sum(len(set(each)) > 1 for each in ids.values()),
    )


def main():
    """Run the test with the given number of failures, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument(
        "--times",
        type=int,
        default=20,
        help="number of failures of each kind: broker stopped, broker killed, daemon, network",
    )
    arguments = parser.parse_args()
    actions = ["stop", "kill", "daemon", "network"] * arguments.times
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        counted = run(Path(folder), arguments.seed, actions)
    seconds = round(time.monotonic() - started)
    print(json.dumps({"seed": arguments.seed, "times": arguments.times, "seconds": seconds, **asdict(counted)}))
    return 0 if counted.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
