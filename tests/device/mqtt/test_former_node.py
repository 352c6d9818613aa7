"""Tests of the deletion of retained messages after a change of `node_id`, and of `earshot forget`."""

import pytest
from broker_support import connected, publishing
from fake_broker import DENIED, FakeBroker, Rule
from mqtt_packets import SUBSCRIBE, Message
from support import wait_until

from device.cli.main import main
from device.mqtt.former_node import KnownNode, delete_former_nodes
from device.util.json_store import JsonStore

OLD = {
    "earshot/old/status": b"offline",
    "earshot/old/health": b"{}",
    "earshot/old/sound/siren": b"OFF",
    "earshot/old/spectrogram": b"png",
    "homeassistant/device/earshot_old/config": b"{}",
}


@pytest.fixture
def broker():
    """Run a broker that keeps messages of the nodes `old` and `other`."""
    with FakeBroker() as broker:
        for topic, payload in (OLD | {"earshot/other/status": b"online"}).items():
            broker.distribute(Message(topic, payload, retain=True))
        yield broker


def store(folder, **content):
    known = JsonStore(folder / "node.json", KnownNode)
    known.update(**content)
    return known


def old_topics(broker):
    return [topic for topic in broker.retained if topic in OLD]


def test_messages_of_the_former_node_id_are_deleted(broker, tmp_path):
    """With another node_id, all retained messages and the device of the old one are deleted, once, and nothing else."""
    known = store(tmp_path, node_id="old")
    with publishing(broker, tmp_path) as publisher:
        delete_former_nodes(publisher, "balcony", "homeassistant", known)
        wait_until(lambda: not old_topics(broker), 10, "the deletion")
        wait_until(lambda: known.content.former == (), 10, "the end")
        broker.distribute(Message("earshot/old/status", b"online", retain=True))
        broker.drop_connections()
        wait_until(lambda: publisher.status().connections == 2, 10, "another connection")
        connected(publisher)
        assert old_topics(broker) == ["earshot/old/status"], "another device may use the name later"
    assert "earshot/other/status" in broker.retained
    assert known.content == KnownNode(node_id="balcony")


def test_a_node_id_that_another_device_uses_is_left_alone(broker, tmp_path):
    """A copied SD card: the other device is online and publishes health, so its messages stay, even if it stops."""
    broker.distribute(Message("earshot/old/status", b"online", retain=True))
    known = store(tmp_path, node_id="old")
    with publishing(broker, tmp_path) as publisher:
        delete_former_nodes(publisher, "balcony", "homeassistant", known)
        wait_until(lambda: len(broker.subscribed()) >= 2, 10, "the subscriptions")
        assert known.content.former == ("old",)
        broker.distribute(Message("earshot/old/health", b"{new}", retain=True))
        wait_until(lambda: known.content.former == (), 10, "the proof")
        wait_until(lambda: not broker.subscribed(), 10, "the end of the subscriptions")
        broker.distribute(Message("earshot/old/status", b"offline", retain=True))
    assert set(old_topics(broker)) == set(OLD)


def test_a_killed_daemon_of_the_former_node_id_is_waited_for(broker, tmp_path):
    """The will of the last connection under the old node_id arrives late; then its messages are deleted."""
    broker.distribute(Message("earshot/old/status", b"online", retain=True))
    with publishing(broker, tmp_path) as publisher:
        delete_former_nodes(publisher, "balcony", "homeassistant", store(tmp_path, node_id="old"))
        wait_until(lambda: len(broker.subscribed()) >= 2, 10, "the subscriptions")
        broker.distribute(Message("earshot/old/status", b"offline", retain=True))
        wait_until(lambda: not old_topics(broker), 10, "the deletion")


def test_an_unchanged_node_id_deletes_nothing(broker, tmp_path):
    """With the same node_id, and at the first start, nothing is subscribed to or deleted."""
    with publishing(broker, tmp_path) as publisher:
        for known in (store(tmp_path), store(tmp_path, node_id="balcony")):
            delete_former_nodes(publisher, "balcony", "homeassistant", known)
            assert known.content == KnownNode(node_id="balcony")
        connected(publisher)
        assert broker.subscribed() == []


def forget(broker, node):
    return main(["forget", node, "--set", f"mqtt.port={broker.port}", "--set", "mqtt.host=127.0.0.1"])


def test_forget_deletes_a_node(broker, capsys):
    """`earshot forget` deletes all retained messages of the node and its device, and nothing else."""
    assert forget(broker, "old") == 0
    assert "old: 5 retained messages are deleted" in capsys.readouterr().out
    assert list(broker.retained) == ["earshot/other/status"]
    assert forget(broker, "old") == 2
    assert "Check the name" in capsys.readouterr().err


def test_forget_refuses_a_node_that_is_online(broker, capsys):
    """The messages of a node that is online stay, with exit code 69 and the cure."""
    assert forget(broker, "other") == 69
    assert "Stop its daemon first" in capsys.readouterr().err
    assert "earshot/other/status" in broker.retained


@pytest.mark.parametrize(
    "rule", [Rule("earshot/old/sound/+", code=DENIED), Rule("earshot/old/#", code=DENIED, to=SUBSCRIBE)]
)
def test_forget_reports_what_the_broker_refuses(broker, capsys, rule):
    """A refused deletion or subscription is exit code 69, with the access rule as the cure."""
    broker.rules = [rule]
    assert forget(broker, "old") == 69
    assert "in the broker's access rules" in capsys.readouterr().err


@pytest.mark.parametrize("node", ["+", "#", "a/b", ""])
def test_forget_takes_no_wildcards(node):
    """A name with wildcards is a wrong argument: it would delete other nodes."""
    with pytest.raises(SystemExit, match="2"):
        main(["forget", node])
