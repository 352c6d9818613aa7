"""Terminals for the tests of the pages: a user's folder, and commands as a user types them there."""

import fcntl
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

from support import wait_until

COLOR = re.compile(r"\033\[[0-9;]*m")
ROOT = Path(__file__).resolve().parent.parent


def commands(page):
    """Return the commands of a page's shell blocks, without comments."""
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(line.split(" #")[0].split()) for line in lines if line.strip()]


class Checkout:
    """A clone of the project, as a user has one: its files, the commands in .venv/bin, and `sudo` and `earshot`.

    Args:
        folder: an empty folder.
        environment: further environment variables.
    """

    def __init__(self, folder, environment):
        self.folder = folder / "earshot"
        self.folder.mkdir()
        for entry in ROOT.iterdir():
            if entry.name not in (".venv", ".git", "runs"):
                (self.folder / entry.name).symlink_to(entry)
        programs = folder / "bin"
        for folder_of_program in (self.folder / ".venv" / "bin", programs):
            _write_program(folder_of_program / "earshot", f'exec {shlex.quote(sys.executable)} -m device "$@"')
        _write_program(programs / "sudo", 'exec env "$@"')
        self.environment = {
            **environment,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm",
            "XDG_STATE_HOME": str(folder / "state"),
        }
        self.state = folder / "state" / "earshot"

        self._terminals = []

    def open(self, command):
        """Start a command in a terminal."""
        self._terminals.append(Terminal(command, self.folder, self.environment))
        return self._terminals[-1]

    def close(self):
        """Kill the commands that still run."""
        for terminal in self._terminals:
            terminal.kill()


def _write_program(path, line):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


class Terminal:
    """Command of a shell in a terminal of its own.

    Attributes:
        command: the command.
        text: its output so far.
    """

    def __init__(self, command, folder, environment):
        self.command, self.text = command, ""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        # A session with the terminal as its own, so that Ctrl-C is a signal to the command.
        line = ["setsid", "--ctty", "bash", "-c", command]
        self._process = subprocess.Popen(line, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, pattern, timeout):
        """Wait until the output has a match of a regular expression."""
        wait_until(
            lambda: re.search(pattern, self.text) or self._process.poll() is not None,
            timeout,
            f"{pattern!r} in the output of {self.command!r}, which is {self.text[-1000:]!r},",
        )
        assert re.search(pattern, self.text), f"{self.command!r} ended without {pattern!r}: {self.text}"

    def interrupt(self):
        """Type Ctrl-C."""
        os.write(self._master, b"\x03")

    def wait(self, timeout=60):
        """Wait for the end of the command; return its exit code."""
        code = self._process.wait(timeout)
        self._reader.join(timeout)
        return code

    def kill(self):
        """Kill the command, if it still runs, and close the terminal."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
        self._reader.join(10)
        os.close(self._master)

    def _read(self):
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the last process has closed the terminal
                return
            self.text += COLOR.sub("", data.decode(errors="replace"))
