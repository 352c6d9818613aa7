"""TCP relay between an MQTT client and a broker, which records acknowledgements.

    python tests/relay.py PORT BROKER_PORT FILE

SIGSTOP suspends it, as a network failure would. It writes the sequence number of each event message to FILE, one a
line, when the broker acknowledges it (PUBACK). So the record is independent of the client under test.
"""

import contextlib
import json
import socket
import sys
import threading

PUBLISH, PUBACK = 3, 4


class Packets:
    """Parser that splits a stream of bytes into MQTT packets."""

    def __init__(self):
        self._bytes = b""

    def feed(self, data):
        """Add bytes, and yield (type, flags, body) of each complete packet."""
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
            header, body = self._bytes[0], self._bytes[1 + size : end]
            self._bytes = self._bytes[end:]
            yield header >> 4, header & 15, body


class Relay:
    """One connection, forwarded in both directions."""

    def __init__(self, client, broker, acknowledged):
        self._acknowledged = acknowledged
        self._in_flight = {}
        for source, target, inspect in (
            (client, broker, self._on_client_packet),
            (broker, client, self._on_broker_packet),
        ):
            threading.Thread(target=self._pump, args=(source, target, inspect), daemon=True).start()

    def _pump(self, source, target, inspect):
        packets = Packets()
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                for packet in packets.feed(data):
                    inspect(*packet)
                target.sendall(data)
        for connection in (source, target):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _on_client_packet(self, kind, flags, body):
        if kind == PUBLISH and flags & 6:
            end = 2 + int.from_bytes(body[:2], "big")
            topic, packet_id = body[2:end].decode(), int.from_bytes(body[end : end + 2], "big")
            if "/event" in topic:
                self._in_flight[packet_id] = json.loads(body[body.index(b"{", end + 2) :])["sequence"]

    def _on_broker_packet(self, kind, _flags, body):
        sequence = self._in_flight.pop(int.from_bytes(body[:2], "big"), None) if kind == PUBACK else None
        if sequence is not None:
            self._acknowledged.write(f"{sequence}\n")
            self._acknowledged.flush()


def main(port, broker_port, path):
    """Relay connections until killed."""
    with socket.create_server(("127.0.0.1", int(port))) as server, open(path, "a") as file:  # noqa: PTH123
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
