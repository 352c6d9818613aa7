"""One connection of the fake broker."""

import contextlib
import heapq
import itertools
import socket
import time
from dataclasses import dataclass, field

import mqtt_packets as mqtt
from paho.mqtt.client import topic_matches_sub
from relay import Packets

PACKET_TOO_LARGE, RECEIVE_MAXIMUM, NO_RETAIN, NO_QOS, TAKEN_OVER = 0x95, 0x93, 0x9A, 0x9B, 0x8E


class EndError(Exception):
    """End of the connection by either side."""


@dataclass(frozen=True)
class Received:
    """Message that the broker has received, and whether it has accepted the message."""

    message: mqtt.Message
    client_id: str
    accepted: bool
    at: float = field(default_factory=time.monotonic)


class Session:
    """One connection of a client."""

    def __init__(self, broker, connection):
        self._broker, self._socket = broker, connection
        self._level, self._client_id, self._will = 5, "", None
        self.filters, self._in_flight = [], 0
        self._answers, self._order = [], itertools.count()

    def serve(self):
        """Process packets until the connection ends, then publish the will unless the client has left."""
        packets = Packets()
        with contextlib.suppress(OSError, EndError):
            while True:
                self._socket.settimeout(self._answer_due())
                try:
                    data = self._socket.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    break
                for kind, flags, body in packets.feed(data):
                    self._handle(kind, flags, body)
        self.close()
        with self._broker.lock:
            if self._broker.clients.get(self._client_id) is self:
                del self._broker.clients[self._client_id]
        if self._will is not None:
            self._broker.distribute(self._will)

    def close(self):
        """End the connection without a reason."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def forward(self, message, retain):
        """Send a message to this client if it has subscribed to it."""
        if any(topic_matches_sub(each, message.topic) for each in self._broker.unreadable):
            return
        if any(topic_matches_sub(each, message.topic) for each in self.filters):
            with contextlib.suppress(OSError):
                self._socket.sendall(mqtt.publish(self._level, message, retain))

    def _handle(self, kind, flags, body):
        match kind:
            case mqtt.CONNECT:
                self._on_connect(mqtt.read_connect(body))
            case mqtt.PUBLISH:
                self._enforce("MaximumPacketSize", len(mqtt.packet(kind, body)), PACKET_TOO_LARGE)
                self._on_publish(mqtt.read_publish(flags, body, self._level))
            case mqtt.SUBSCRIBE:
                self._on_subscribe(mqtt.read_subscribe(body, self._level))
            case mqtt.UNSUBSCRIBE:
                packet = mqtt.read_unsubscribe(body, self._level)
                self.filters = [each for each in self.filters if each not in packet.filters]
                self._socket.sendall(mqtt.unsuback(self._level, packet.mid, len(packet.filters)))
            case mqtt.PINGREQ:
                self._socket.sendall(mqtt.packet(mqtt.PINGRESP, b""))
            case mqtt.DISCONNECT:
                self._will = None
                raise EndError

    def _on_connect(self, connect):
        self._level, self._client_id = connect.level, connect.client_id
        code = self._broker.connack_code
        if connect.level not in self._broker.levels:
            code = 0x84 if connect.level == 5 else 1
        elif connect.level == 5 and connect.will is not None:
            code = self._will_fault(connect.will)
        if code:
            self._socket.sendall(mqtt.connack(self._level, code, {}))
            raise EndError
        with self._broker.lock:
            old, self._broker.clients[self._client_id] = self._broker.clients.get(self._client_id), self
            self._broker.connects.append(connect)
        if old is not None:
            old.take_over()
        self._will = connect.will
        self._socket.sendall(mqtt.connack(self._level, 0, self._broker.limits))

    def _will_fault(self, will):
        """Return the reason code for a will that ignores the limits; 0 for none."""
        if will.qos > self._broker.limits.get("MaximumQoS", 2):
            return NO_QOS
        return NO_RETAIN if will.retain and not self._broker.limits.get("RetainAvailable", 1) else 0

    def take_over(self):
        """End the connection, because another client has the same id."""
        if self._broker.tells_takeover and self._level == 5:
            with contextlib.suppress(OSError):
                self._socket.sendall(mqtt.disconnect(TAKEN_OVER))
        self.close()

    def _on_publish(self, message):
        self._enforce("MaximumQoS", message.qos, NO_QOS)
        self._enforce("RetainAvailable", int(message.retain), NO_RETAIN)
        self._in_flight += message.qos > 0
        self._enforce("ReceiveMaximum", self._in_flight, RECEIVE_MAXIMUM)
        rule = self._broker.rule_for(mqtt.PUBLISH, message.topic)
        accepted = rule.code < 0x80 and not rule.disconnects
        with self._broker.lock:
            self._broker.received.append(Received(message, self._client_id, accepted))
            if accepted:
                self._broker.distribute(message)
        self._follow(rule, mqtt.puback(self._level, message.mid, rule.code) if message.qos else b"", is_ack=True)

    def _on_subscribe(self, packet):
        rule = self._broker.rule_for(mqtt.SUBSCRIBE, packet.filters[0])
        self._follow(rule, mqtt.suback(self._level, packet.mid, [rule.code or 1] * len(packet.filters)))
        if rule.code < 0x80:
            with self._broker.lock:
                self.filters += packet.filters
                retained = list(self._broker.retained.values())
            for message in retained:
                if any(topic_matches_sub(each, message.topic) for each in packet.filters):
                    self.forward(message, retain=True)

    def _follow(self, rule, answer, is_ack=False):
        """Answer as the rule demands: now, later, not at all, or with the end of the connection."""
        if rule.disconnects:
            if rule.code and self._level == 5:
                self._socket.sendall(mqtt.disconnect(rule.code))
            raise EndError
        if answer and not rule.is_silent:
            heapq.heappush(self._answers, (time.monotonic() + rule.delay, next(self._order), answer, is_ack))
            self._answer_due()

    def _answer_due(self):
        """Send the answers that are due, and return the time until the next one, s; None without one."""
        while self._answers and self._answers[0][0] <= time.monotonic():
            _, _, answer, is_ack = heapq.heappop(self._answers)
            self._in_flight -= is_ack
            self._socket.sendall(answer)
        return max(0.001, self._answers[0][0] - time.monotonic()) if self._answers else None

    def _enforce(self, limit, value, code):
        """End the connection if a limit is ignored."""
        if limit in self._broker.limits and self._level == 5 and value > self._broker.limits[limit]:
            self._broker.violations.append((limit, value))
            self._socket.sendall(mqtt.disconnect(code))
            raise EndError
