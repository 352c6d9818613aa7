"""MQTT packets as a broker reads and writes them, 3.1.1 and 5. The properties of MQTT 5 are coded by paho."""

from dataclasses import dataclass, field

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 1, 2, 3, 4, 8, 9, 10, 11
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14


@dataclass(frozen=True)
class Message:
    """PUBLISH packet, or the will of a CONNECT."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    mid: int = 0


@dataclass(frozen=True)
class Connect:
    """CONNECT packet; `level` is 4 for MQTT 3.1.1 and 5 for MQTT 5."""

    level: int
    clean: bool
    client_id: str
    will: Message | None
    user: str | None = None
    password: str | None = None


@dataclass
class Reader:
    """Reader of the fields of a packet's body."""

    data: bytes
    at: int = 0

    def take(self, length):
        """Return the next bytes."""
        self.at += length
        assert self.at <= len(self.data), "the packet is too short"
        return self.data[self.at - length : self.at]

    def number(self, length=2):
        """Return the next integer."""
        return int.from_bytes(self.take(length), "big")

    def binary(self):
        """Return the next bytes with a length of two bytes before them."""
        return self.take(self.number())

    def text(self):
        """Return the next UTF-8 string."""
        return self.binary().decode()

    def properties(self, level, kind):
        """Skip the properties of MQTT 5."""
        if level == 5:
            _, length = Properties(kind).unpack(self.data[self.at :])
            self.at += length

    def rest(self):
        """Return all bytes that are left."""
        return self.take(len(self.data) - self.at)


@dataclass
class Subscribe:
    """SUBSCRIBE or UNSUBSCRIBE packet."""

    mid: int
    filters: list = field(default_factory=list)


def read_connect(body):
    """Parse the body of a CONNECT packet."""
    reader = Reader(body)
    assert reader.text() == "MQTT"
    level, flags, _keepalive = reader.number(1), reader.number(1), reader.number()
    reader.properties(level, PacketTypes.CONNECT)
    client_id, will = reader.text(), None
    if flags & 4:
        reader.properties(level, PacketTypes.WILLMESSAGE)
        will = Message(reader.text(), reader.binary(), flags >> 3 & 3, bool(flags & 32))
    user = reader.text() if flags & 128 else None
    password = reader.text() if flags & 64 else None
    return Connect(level, bool(flags & 2), client_id, will, user, password)


def read_publish(flags, body, level):
    """Parse a PUBLISH packet."""
    reader, qos = Reader(body), flags >> 1 & 3
    topic = reader.text()
    mid = reader.number() if qos else 0
    reader.properties(level, PacketTypes.PUBLISH)
    return Message(topic, reader.rest(), qos, bool(flags & 1), mid)


def read_subscribe(body, level):
    """Parse the body of a SUBSCRIBE packet."""
    reader = Reader(body)
    packet = Subscribe(reader.number())
    reader.properties(level, PacketTypes.SUBSCRIBE)
    while reader.at < len(body):
        packet.filters.append(reader.text())
        reader.number(1)
    return packet


def read_unsubscribe(body, level):
    """Parse the body of an UNSUBSCRIBE packet."""
    reader = Reader(body)
    packet = Subscribe(reader.number())
    reader.properties(level, PacketTypes.UNSUBSCRIBE)
    while reader.at < len(body):
        packet.filters.append(reader.text())
    return packet


def packet(kind, body, flags=0):
    """Build a packet from its body."""
    length, size = b"", len(body)
    while not length or size:
        length += bytes([size & 127 | (128 if size > 127 else 0)])
        size >>= 7
    return bytes([kind << 4 | flags]) + length + body


def connack(level, code, properties):
    """Build a CONNACK; `properties` are names of paho with their values, only sent with MQTT 5."""
    if level != 5:
        return packet(CONNACK, bytes([0, code]))
    packed = Properties(PacketTypes.CONNACK)
    for name, value in properties.items():
        setattr(packed, name, value)
    return packet(CONNACK, bytes([0, code]) + packed.pack())


def puback(level, mid, code):
    """Build a PUBACK. With MQTT 3.1.1 it has no reason code."""
    return packet(PUBACK, mid.to_bytes(2, "big") + (bytes([code]) if level == 5 and code else b""))


def suback(level, mid, codes):
    """Build a SUBACK. With MQTT 3.1.1 every failure is 0x80."""
    codes = codes if level == 5 else [min(code, 0x80) for code in codes]
    return packet(SUBACK, mid.to_bytes(2, "big") + (b"\0" if level == 5 else b"") + bytes(codes))


def unsuback(level, mid, count):
    """Build an UNSUBACK."""
    return packet(UNSUBACK, mid.to_bytes(2, "big") + (b"\0" + bytes(count) if level == 5 else b""))


def publish(level, message, retain):
    """Build a PUBLISH at QoS 0."""
    topic = message.topic.encode()
    body = len(topic).to_bytes(2, "big") + topic + (b"\0" if level == 5 else b"") + message.payload
    return packet(PUBLISH, body, int(retain))


def disconnect(code):
    """Build a DISCONNECT of MQTT 5."""
    return packet(DISCONNECT, bytes([code]))
