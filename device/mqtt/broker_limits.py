"""Limits of a broker, as its CONNACK announces them (MQTT 5.0, section 3.2.2.3). With MQTT 3.1.1 it announces none."""

from dataclasses import dataclass
from typing import Self

from paho.mqtt.properties import Properties

_PACKET_TYPE_BYTES = 1
_LENGTH_PREFIX_BYTES = 2
"""Bytes before a topic, which contain its length."""
_PACKET_ID_BYTES = 2
_NO_PROPERTIES_BYTES = 1


@dataclass(frozen=True)
class BrokerLimits:
    """Limits that a client must obey; otherwise the broker ends the connection.

    Attributes:
        packet_bytes: size of the largest packet that the broker accepts, in bytes; None without a limit.
        in_flight: largest number of messages in flight at QoS 1.
        qos: highest quality of service, 0 to 2.
        retain: whether the broker keeps retained messages.
        can_refuse: whether an acknowledgement may contain a refusal (MQTT 5).
    """

    packet_bytes: int | None = None
    in_flight: int = 65535
    qos: int = 2
    retain: bool = True
    can_refuse: bool = False

    @classmethod
    def from_connack(cls, properties: Properties | None, in_flight: int, *, can_refuse: bool) -> Self:
        """Make the limits of a connection.

        Args:
            properties: of the CONNACK; None with MQTT 3.1.1.
            in_flight: largest number of messages in flight, `mqtt.in_flight` of the config.
            can_refuse: whether the connection uses MQTT 5.
        """
        return cls(
            packet_bytes=getattr(properties, "MaximumPacketSize", None),
            in_flight=min(in_flight, getattr(properties, "ReceiveMaximum", in_flight)),
            qos=getattr(properties, "MaximumQoS", 2),
            retain=bool(getattr(properties, "RetainAvailable", 1)),
            can_refuse=can_refuse,
        )

    def fits(self, topic: str, payload: bytes) -> bool:
        """Return whether the broker accepts a message of this size."""
        return self.packet_bytes is None or publish_bytes(topic, payload) <= self.packet_bytes

    def restrictions(self) -> dict[str, str]:
        """Return what the broker does not support, by limit, as a sentence with the cure; empty for no restriction."""
        return {
            "retain": ""
            if self.retain
            else "the broker keeps no retained messages, so states are published every minute. Allow retained messages",
            "qos": ""
            if self.qos
            else "the broker supports QoS 0 alone, so an event may be lost on the way. Allow QoS 1 at the broker",
        }


def publish_bytes(topic: str, payload: bytes) -> int:
    """Return the size of a PUBLISH packet at QoS 1, in bytes (MQTT 5.0, section 3.3)."""
    topic_bytes = _LENGTH_PREFIX_BYTES + len(topic.encode())
    remaining = topic_bytes + _PACKET_ID_BYTES + _NO_PROPERTIES_BYTES + len(payload)
    length_bytes = max(1, -(-remaining.bit_length() // 7))  # seven bits of the length in each byte
    return _PACKET_TYPE_BYTES + length_bytes + remaining
