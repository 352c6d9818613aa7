"""Servers of streams for tests, on loopback: HTTP and RTSP over TCP, each with a tone in real time."""

import base64
import socket
import socketserver
import struct
import threading
import time
from contextlib import suppress

import numpy as np

RATE = 16000
PERIOD_SECONDS = 0.1
"""Sound of one packet, s."""
LOGIN = "cam:s3cret-word"
_RTP_BYTES = 640


def tones(number, frequencies=(1000,), rate=RATE):
    """Return the samples of packet `number`, one tone for each channel, int16, interleaved, as an array."""
    count = round(PERIOD_SECONDS * rate)
    times = (number * count + np.arange(count)) / rate
    wave = np.sin(2 * np.pi * np.outer(times, frequencies)) * 8000
    return wave.astype(np.int16)


def wav_header(channels):
    """Return the header of a WAV stream without end, int16 at RATE."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, RATE, 2 * channels * RATE, 2 * channels, 16)
    return b"RIFF\xff\xff\xff\xffWAVE" + form + b"data\xff\xff\xff\xff"


class Server:
    """Server on one port, with a thread for each client. `stop` closes the connections, as a crash would.

    Attributes:
        port: TCP port; `start` uses the same one again.
        clients: number of connections that were played to.
        burst_seconds: sound from before the connection that a client receives at once, as from an Icecast server, s.
    """

    burst_seconds = 0.0

    def __init__(self, frequencies=(1000,)):
        self.frequencies = frequencies
        self.port, self.clients = 0, 0
        self.start()

    def start(self):
        """Accept connections."""
        server, self._sockets, self.is_stopped = self, [], threading.Event()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                server._sockets.append(self.connection)
                with suppress(OSError):
                    server.serve(self)

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """Close all connections and the port."""
        self.is_stopped.set()
        self._server.shutdown()
        self._server.server_close()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    close = stop

    def play(self, send):
        """Call `send` with each packet's samples in real time until the server stops."""
        self.clients += 1
        started, number = time.monotonic() - self.burst_seconds, 0
        while not self.is_stopped.wait(max(0.0, started + number * PERIOD_SECONDS - time.monotonic())):
            send(tones(number, self.frequencies))
            number += 1


class HttpServer(Server):
    """Server of a WAV stream without end at /sound.wav."""

    burst_seconds = 5.0

    def serve(self, handler):
        """Answer one request."""
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += handler.rfile.readline()
        if not request.startswith(b"GET /sound.wav"):
            handler.wfile.write(b"HTTP/1.0 404 Not Found\r\n\r\n")
            return
        if f"Basic {base64.b64encode(LOGIN.encode()).decode()}".encode() not in request:
            handler.wfile.write(b'HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n')
            return
        answer = b"HTTP/1.0 200 OK\r\nContent-Type: audio/wav\r\n\r\n"
        handler.wfile.write(answer + wav_header(len(self.frequencies)))
        self.play(lambda samples: handler.wfile.write(samples.astype("<i2").tobytes()))


class RtspServer(Server):
    """Server of L16 over interleaved TCP at /sound, with Basic authentication; /video has no sound."""

    def serve(self, handler):
        """Answer the requests of one connection."""
        while line := handler.rfile.readline().decode():
            method, url, _ = line.split(" ", 2)
            fields = {}
            while (field := handler.rfile.readline().decode().strip()) != "":
                name, _, value = field.partition(": ")
                fields[name] = value
            path = url.split("/", 3)[-1].split("/")[0]
            status, headers, body = self._answer(method, path, fields)
            headers |= {"CSeq": fields.get("CSeq", "0"), "Content-Length": str(len(body))}
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            handler.wfile.write(f"RTSP/1.0 {status}\r\n{lines}\r\n{body}".encode())
            if method == "PLAY" and status.startswith("200"):
                self._play_rtp(handler.wfile)
                return

    def _answer(self, method, path, fields):
        """Return status, header fields and body."""
        login = f"Basic {base64.b64encode(LOGIN.encode()).decode()}"
        if method == "OPTIONS":
            return "200 OK", {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"}, ""
        if fields.get("Authorization") != login:
            return "401 Unauthorized", {"WWW-Authenticate": 'Basic realm="x"'}, ""
        if path not in ("sound", "video"):
            return "404 Not Found", {}, ""
        if method == "DESCRIBE":
            media = "m=audio 0 RTP/AVP 96\r\na=rtpmap:96 L16/16000/1\r\na=control:track\r\n"
            if path == "video":
                media = "m=video 0 RTP/AVP 26\r\na=control:track\r\n"
            body = f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n{media}"
            return "200 OK", {"Content-Type": "application/sdp"}, body
        if method == "PLAY" and "Session" not in fields:
            return "454 Session Not Found", {}, ""
        transport = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"} if method == "SETUP" else {}
        return "200 OK", {"Session": "1", **transport}, ""

    def _play_rtp(self, file):
        sequence = sent = 0

        def send(samples):
            nonlocal sequence, sent
            data = samples.astype(">i2").tobytes()
            for start in range(0, len(data), _RTP_BYTES):
                part = data[start : start + _RTP_BYTES]
                header = struct.pack(">BBHII", 0x80, 96, sequence & 0xFFFF, sent & 0xFFFFFFFF, 7)
                file.write(struct.pack(">cBH", b"$", 0, len(header) + len(part)) + header + part)
                sequence, sent = sequence + 1, sent + len(part) // 2

        self.play(send)
