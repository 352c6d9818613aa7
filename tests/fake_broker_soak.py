"""Soak test: publishers at a fake broker that changes its mind, while both are killed at random.

    python tests/fake_broker_soak.py MINUTES [--seed N]

Every few seconds the broker gets other rules and limits: it refuses, delays, leaves unanswered or disconnects, for one
kind of topic. Prints one line of JSON: lost, repeated and disordered event messages, and the delay of live ones from
their making to their arrival, in times without a disturbance of the events or the connection themselves. Exit code 1 if
one was lost or out of order. `tests/test_fake_broker_soak.py` runs a short test.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from broker_support import BACKLOG, EVENT, EVENTS, event, publishing  # noqa: E402
from fake_broker import FakeBroker, Rule  # noqa: E402

from device.outbox.sqlite_table import SqliteTable  # noqa: E402

STATES = ("#", "earshot/balcony/sound/+", "earshot/balcony/spectrogram", "earshot/balcony/health")
ANSWERS = (
    {"code": 0x87},
    {"code": 0x97},
    {"delay": 5.0},
    {"is_silent": True},
    {"disconnects": True},
    {"disconnects": True, "code": 0x97},
)
LIMITS = ({}, {}, {"MaximumPacketSize": 2000}, {"ReceiveMaximum": 1}, {"RetainAvailable": 0})
AFTERMATH_SECONDS = 5.0
"""Time after a disturbance in which delays are not counted: a new connection and a new process take seconds."""


def feed(folder, port, count):
    """Make events and states until killed; with a count of 0, deliver those that are left."""
    broker = argparse.Namespace(port=port)
    with publishing(broker, folder) as publisher:
        while count:
            publisher.send(event(0) | {"made": time.monotonic(), "id": os.urandom(8).hex()})
            for name in ("sound/siren", "spectrogram", "health"):
                publisher.publish_state(name, os.urandom(5000), b"small")
            publisher.retry_refused()
            time.sleep(0.05)
        return publisher.wait_delivered(60)


class Feeder:
    """Process that makes events, as a daemon does, with its outbox in a folder."""

    def __init__(self, folder, port):
        self._command = [sys.executable, __file__, "--feed", str(folder), str(port)]
        self._log = (folder / "log").open("a")
        self._process = None

    def start(self, count=1):
        """Start it; with a count of 0 it only delivers."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen([*self._command, str(count)], env=environment, stderr=self._log)

    def kill(self):
        """Kill it with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def finish(self):
        """Deliver what is left, without making more events."""
        self.kill()
        self.start(0)
        assert self._process.wait(timeout=120) == 0, "the outbox could not be emptied"

    def close(self):
        """Kill it, and close its log."""
        self.kill()
        self._log.close()


def disturb(rng, broker, feeder):
    """Give the broker other rules and limits, and perhaps kill something; return whether events are hindered."""
    topics, answer = rng.choice((*STATES, *STATES, EVENT, BACKLOG, EVENTS)), rng.choice(ANSWERS)
    hinders_events = topics in (EVENT, BACKLOG, EVENTS)
    # The first rule that matches holds, so `#` hinders states alone.
    broker.rules = [Rule(topics, **answer)] if hinders_events else [Rule(EVENTS), Rule(topics, **answer)]
    action = rng.choice(("nothing", "nothing", "nothing", "process", "connection"))
    if action == "process":
        feeder.kill()
        feeder.start()
    elif action == "connection":
        broker.limits = rng.choice(LIMITS)
        broker.drop_connections()
    return hinders_events or action != "nothing" or answer.get("disconnects", False)


def run(folder, seconds, seed):
    """Disturb for some seconds, and return the counts."""
    rng, ends, hindered = random.Random(seed), time.monotonic() + seconds, []
    with FakeBroker() as broker:
        feeder = Feeder(folder, broker.port)
        feeder.start()
        try:
            while time.monotonic() < ends:
                started = time.monotonic()
                is_hindered = disturb(rng, broker, feeder)
                time.sleep(rng.uniform(1, 6))
                if is_hindered:
                    hindered.append((started, time.monotonic() + AFTERMATH_SECONDS))
            broker.rules, broker.limits = [], {}
            feeder.finish()
        finally:
            feeder.close()
        outbox = SqliteTable(folder / "outbox.sqlite")
        made = outbox.totals().last_sequence
        outbox.close()
        return count(broker, made, hindered)


def count(broker, made, hindered):
    """Count lost, repeated and disordered messages, and measure the delay of live ones, s."""
    accepted = [each for each in broker.received if each.accepted and each.message.topic in (EVENT, BACKLOG)]
    arrived = [(json.loads(each.message.payload), each) for each in accepted]
    sequences = [content["sequence"] for content, _ in arrived]
    disordered = 0
    for topic in (EVENT, BACKLOG):
        order = list(dict.fromkeys(content["sequence"] for content, each in arrived if each.message.topic == topic))
        disordered += sum(later < earlier for earlier, later in pairwise(order))
    delays = sorted(
        each.at - content["made"]
        for content, each in arrived
        if each.message.topic == EVENT and not any(start <= content["made"] <= end for start, end in hindered)
    )
    return {
        "made": made,
        "lost": made - len(set(sequences)),
        "repeated": len(sequences) - len(set(sequences)),
        "out_of_order": disordered,
        "late": sum(each.message.topic == BACKLOG for _, each in arrived),
        "violations": len(broker.violations),
        "connections": len(broker.connects),
        "live": len(delays),
        "delay_p50_ms": round(delays[len(delays) // 2] * 1000) if delays else None,
        "delay_p99_ms": round(delays[len(delays) * 99 // 100] * 1000) if delays else None,
        "delay_max_ms": round(delays[-1] * 1000) if delays else None,
    }


def is_clean(counted):
    """Return whether no message was lost or out of order, and no limit was ignored."""
    return not (counted["lost"] or counted["out_of_order"] or counted["violations"]) and counted["made"] > 0


def main():
    """Run the test for the given time, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", type=float, nargs="?", default=5.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--feed", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.feed:
        folder, port, number = arguments.feed
        return feed(Path(folder), int(port), int(number))
    with tempfile.TemporaryDirectory() as folder:
        counted = run(Path(folder), arguments.minutes * 60, arguments.seed)
    print(json.dumps({"seed": arguments.seed, "minutes": arguments.minutes, **counted}))
    return 0 if is_clean(counted) else 1


if __name__ == "__main__":
    sys.exit(main())
