"""Tests of colour: on a terminal only, and never with NO_COLOR."""

import os
import pty
import subprocess
import sys
from contextlib import closing, suppress

import pytest

PROGRAM = (
    "from device.cli.terminal import paint, uses_color; print(uses_color(), paint('fault', 'red'), paint('x', None))"
)
COLORED = "True \033[31mfault\033[0m x"
PLAIN = "False fault x"


def run_on_terminal(**environment):
    """Run the program on a terminal, and return its line."""
    main, terminal = pty.openpty()
    with closing(os.fdopen(main, "rb", buffering=0)) as output:
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            stdout=terminal,
            env={**os.environ, "TERM": "xterm", **environment},
            check=True,
        )
        os.close(terminal)
        line = b""
        with suppress(OSError):  # the terminal is closed
            while part := output.read(1000):
                line += part
    return line.decode().strip()


@pytest.mark.parametrize(
    ("environment", "line"),
    [({}, COLORED), ({"NO_COLOR": ""}, COLORED), ({"NO_COLOR": "1"}, PLAIN), ({"TERM": "dumb"}, PLAIN)],
    ids=str,
)
def test_colour_is_used_on_a_terminal(monkeypatch, environment, line):
    """A terminal gets colour, unless NO_COLOR is set and not empty, or the terminal is dumb."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert run_on_terminal(**environment) == line


def test_a_pipe_gets_no_colour():
    """The output for a file or a program has no control sequences."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == PLAIN
