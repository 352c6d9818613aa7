"""Fake broker for tests: MQTT 3.1.1 and 5 on loopback, with limits, and an answer of its own for each topic.

It refuses, delays, leaves unanswered or disconnects as rules demand, and ends the connection of a client that ignores
its limits, as real brokers do.
"""

import socket
import threading
from dataclasses import dataclass

import mqtt_packets as mqtt
from fake_session import Session
from paho.mqtt.client import topic_matches_sub

DENIED, QUOTA = 0x87, 0x97


@dataclass
class Rule:
    """Answer to messages, or subscriptions, of some topics.

    Attributes:
        topics: topic filter.
        code: reason code of the answer; 0 accepts.
        delay: time until the answer, s; later packets are answered before.
        is_silent: True for no answer.
        disconnects: True to end the connection in place of an answer, with `code` if it is not 0.
        times: number of messages for which the rule holds.
        to: packet type, PUBLISH or SUBSCRIBE.
    """

    topics: str
    code: int = 0
    delay: float = 0.0
    is_silent: bool = False
    disconnects: bool = False
    times: float = float("inf")
    to: int = mqtt.PUBLISH


class FakeBroker:
    """Broker on a free port of loopback; a context manager.

    Args:
        rules: answers; the first rule that matches holds.
        levels: protocol levels it accepts: 4 for MQTT 3.1.1, 5 for MQTT 5.
        limits: properties of the CONNACK, by paho's names, such as MaximumPacketSize. They are enforced.
        unreadable: topic filters whose messages no subscriber gets, although it may subscribe.
        tells_takeover: whether a client is given the reason when another one takes over its session.

    Attributes:
        received: each message, in its order.
        violations: limits that a client has ignored.
        connects: each accepted CONNECT.
        retained: last retained message of each topic.
    """

    def __init__(self, *rules, levels=(4, 5), limits=None, unreadable=(), tells_takeover=False):
        self.rules, self.levels, self.limits = list(rules), levels, limits or {}
        self.unreadable, self.tells_takeover = unreadable, tells_takeover
        self.connack_code = 0
        self.received, self.violations, self.connects, self.retained = [], [], [], {}
        self.lock = threading.RLock()
        self.clients = {}
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.close()
        self.drop_connections()

    def drop_connections(self):
        """End all connections, as a crash would."""
        with self.lock:
            clients = list(self.clients.values())
        for client in clients:
            client.close()

    def accepted(self, topic_filter):
        """Return the accepted messages of matching topics, in their order."""
        with self.lock:
            return [
                each.message
                for each in self.received
                if each.accepted and topic_matches_sub(topic_filter, each.message.topic)
            ]

    def subscribed(self):
        """Return the topic filters of all clients."""
        with self.lock:
            return [each for client in self.clients.values() for each in client.filters]

    def rule_for(self, kind, topic):
        """Return the rule for a packet, and count it."""
        with self.lock:
            for rule in self.rules:
                if (
                    rule.to == kind
                    and rule.times > 0
                    and (rule.topics == topic or topic_matches_sub(rule.topics, topic))
                ):
                    rule.times -= 1
                    return rule
            return Rule(topic)

    def distribute(self, message):
        """Keep a retained message, and forward any to its subscribers."""
        with self.lock:
            if message.retain and message.payload:
                self.retained[message.topic] = message
            elif message.retain:
                self.retained.pop(message.topic, None)
            for client in list(self.clients.values()):
                client.forward(message, retain=False)

    def _accept(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=Session(self, connection).serve, daemon=True).start()
