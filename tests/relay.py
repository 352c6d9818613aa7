"""A network of our own between a client and a broker, which can be cut (SIGSTOP) and which notes what it carries.

    python tests/relay.py PORT BROKER_PORT NOTES

Writes the sequence number of each event message into NOTES, a line each, when the broker confirms it (PUBACK):
what the broker has taken is known from the wire, not from the client that is tested.
"""

import contextlib
import json
import socket
import sys
import threading

PUBLISH, PUBACK = 3, 4


class Packets:
    """Cuts a stream of bytes into MQTT packets."""

    def __init__(self):
        self._bytes = b""

    def feed(self, data):
        """Yield (type, flags, body) of each packet that is complete."""
        self._bytes += data
        while True:
            length, size = 0, 1
            for size in range(1, 5):
                if size >= len(self._bytes):
                    return
                length += (self._bytes[size] & 127) << 7 * (size - 1)
                if self._bytes[size] < 128:
                    break
            end = 1 + size + length
            if len(self._bytes) < end:
                return
            head, body = self._bytes[0], self._bytes[1 + size : end]
            self._bytes = self._bytes[end:]
            yield head >> 4, head & 15, body


class Relay:
    """Passes one connection on, both ways."""

    def __init__(self, client, broker, notes):
        self._notes = notes
        self._sent = {}
        for source, target, look in ((client, broker, self._sends), (broker, client, self._confirms)):
            threading.Thread(target=self._pump, args=(source, target, look), daemon=True).start()

    def _pump(self, source, target, look):
        packets = Packets()
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                for packet in packets.feed(data):
                    look(*packet)
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _sends(self, kind, flags, body):
        if kind == PUBLISH and flags & 6:
            end = 2 + int.from_bytes(body[:2], "big")
            topic, number = body[2:end].decode(), int.from_bytes(body[end : end + 2], "big")
            if "/event" in topic:
                self._sent[number] = json.loads(body[body.index(b"{", end + 2) :])["sequence"]

    def _confirms(self, kind, _flags, body):
        sequence = self._sent.pop(int.from_bytes(body[:2], "big"), None) if kind == PUBACK else None
        if sequence is not None:
            self._notes.write(f"{sequence}\n")
            self._notes.flush()


def main(port, broker_port, notes):
    """Pass on each connection until killed."""
    with socket.create_server(("127.0.0.1", int(port))) as server, open(notes, "a") as file:  # noqa: PTH123
        while True:
            client, _ = server.accept()
            try:
                broker = socket.create_connection(("127.0.0.1", int(broker_port)), timeout=5)
                broker.settimeout(None)
            except OSError:
                client.close()
            else:
                Relay(client, broker, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
