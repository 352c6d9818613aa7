import random

from kill import count, run


def test_nothing_is_lost_while_broker_daemon_and_network_fail(tmp_path):
    """A short form of `python tests/kill.py`: each event arrives, in order, and twice only with the same id."""
    seed = random.randrange(1 << 32)
    counted = run(tmp_path, seed, ["stop", "kill", "daemon", "network"])
    assert counted.is_clean, f"seed {seed}: {counted}"
    assert counted.made > 5, f"seed {seed}: {counted}"


def test_the_count_sees_what_is_wrong():
    """Lost, forgotten by the broker, out of order and of two ids are told apart."""

    def message(sequence, name):
        return "earshot/test/event", {"sequence": sequence, "id": name}

    received = [message(1, "a"), message(3, "c"), message(2, "b"), message(3, "c"), message(1, "x")]
    counted = count(made=5, received=received, confirmed={4})
    assert (counted.received, counted.repeated, counted.out_of_order, counted.two_ids) == (3, 2, 1, 1)
    assert (counted.lost, counted.forgotten) == (1, 1)
    assert not counted.is_clean
