"""Short form of the kill test, and its counts."""

import random

import pytest
from kill import count, run

pytestmark = pytest.mark.slow


def test_nothing_is_lost_while_broker_daemon_and_network_fail(tmp_path):
    """Each event arrives in order, and a repeated one has the same id; see `python tests/kill.py`."""
    seed = random.randrange(1 << 32)
    counted = run(tmp_path, seed, ["stop", "kill", "daemon", "network"])
    assert counted.is_clean, f"seed {seed}: {counted}"
    assert counted.made > 5, f"seed {seed}: {counted}"


def test_each_failure_is_counted():
    """Messages that are lost, lost by the broker, out of order on a topic, and with two ids are counted separately."""

    def message(sequence, message_id, topic="event"):
        return f"earshot/test/{topic}", {"sequence": sequence, "id": message_id}

    received = [message(1, "a"), message(4, "d"), message(2, "b"), message(4, "d"), message(1, "x")]
    received.append(message(3, "c", "event/backlog"))  # a live message may arrive before earlier late ones
    counted = count(made=6, received=received, acknowledged={5})
    assert (counted.received, counted.repeated, counted.out_of_order, counted.two_ids) == (4, 2, 1, 1)
    assert (counted.lost, counted.forgotten) == (1, 1)
    assert not counted.is_clean
