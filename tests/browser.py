"""Headless Chromium for tests, over its debugging pipe: it needs Debian's chromium, and no package of Python."""

import json
import os
import subprocess
from pathlib import Path

from support import wait_until

CHROMIUM = Path("/usr/bin/chromium")


class Browser:
    """Chromium with one page.

    Args:
        folder: folder of its profile.
        address: address of the page.
    """

    def __init__(self, folder, address):
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        arguments = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "bash", *arguments, f"--user-data-dir={folder}"],
            pass_fds=(commands, answers),
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._received, self._number, self._session = b"", 0, {}
        target = self._call("Target.createTarget", url=address)["targetId"]
        self._session = {"sessionId": self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}

    def evaluate(self, expression):
        """Return the value of an expression of JavaScript in the page."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression, timeout=30):
        """Wait until an expression is true."""
        wait_until(lambda: self.evaluate(expression), timeout, expression)

    def close(self):
        """End the browser."""
        self._process.terminate()
        self._process.wait(10)
        os.close(self._commands)
        os.close(self._answers)

    def _call(self, method, **parameters):
        """Call a method of the Chrome DevTools Protocol, and return its result."""
        self._number += 1
        call = {"id": self._number, "method": method, "params": parameters, **self._session}
        os.write(self._commands, json.dumps(call).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "result" in message, message
                return message["result"]

    def _next(self):
        while b"\0" not in self._received:
            data = os.read(self._answers, 65536)
            assert data, "chromium has ended"
            self._received += data
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)
