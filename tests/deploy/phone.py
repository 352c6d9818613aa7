"""Service of notifications, phone.py PORT FILE: writes each message to a file, one JSON object a line."""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Phone(BaseHTTPRequestHandler):
    """Answer of the service."""

    def do_POST(self) -> None:
        """Append the message to the file."""
        message = self.rfile.read(int(self.headers["Content-Length"]))
        with Path(sys.argv[2]).open("ab") as file:
            file.write(message.replace(b"\n", b" ") + b"\n")
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Phone).serve_forever()
