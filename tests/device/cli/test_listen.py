import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import wait_until

from device.cli.listen_view import ListenView
from device.cli.main import main
from device.types import ClassifiedWindow, Event

LABELS = ("dog_bark", "siren", "car_horn", "jackhammer", "gun_shot", "a_label_with_a_very_long_name")
COLOUR = re.compile(r"\033\[[0-9;]*m")


def busy_view():
    """A view of a dog that barks, of whose event the start was told; live scores are half of a clip's."""
    view = ListenView("mic", LABELS, lambda scores: scores / 2)
    view.thresholds = dict.fromkeys(LABELS, 0.5)
    view.on_source_state("ok", "listens to 'USB Audio'")
    for _ in range(11):
        view.on_block(0.1, "level")
    view.add_level(-60.0)
    view.add_level(-24.0)
    view.add_level(-70.0)
    log_mel = np.linspace(-1, 1, 64 * 90, dtype=np.float32).reshape(64, 90)
    scores = np.array([0.8, 0.1, 0.05, 0.02, 0.01, 0.6], np.float32)
    view.on_window(ClassifiedWindow(0, 0.0, np.zeros(100, np.int16), log_mel, 2 * scores))
    named = {label: float(score) for label, score in zip(LABELS, scores, strict=True)}
    view.on_event(Event("start", "1", "dog_bark", 0.8, named, 1e9, None, -24.0, "level"))
    return view


def test_the_view_tells_level_gate_labels_and_events():
    """All in one look: the loudest since the last one, why the gate is open, the best labels, the events."""
    text = "\n".join(COLOUR.sub("", line) for line in busy_view().lines(80, 40))
    assert "mic: listens to 'USB Audio'" in text
    assert re.search(r"level  \[#+-+\]  -24 dBFS", text)
    assert "gate   open (level) for 1.0 s" in text
    assert re.search(
        r"dog_bark +\[#+-+\]  80% \*\n.*a_label_with_a_ver +\[#+-+\]  60% \*\n.*siren +\[#+-+\]  10%  \n", text
    )
    assert "gun_shot" not in text.split("start")[0], "only the best five"
    assert re.search(r"\d\d:\d\d:\d\d  start  dog_bark +80%", text)


def test_the_level_is_that_since_the_last_look():
    """Looked at twice with nothing between, it is quiet."""
    view = busy_view()
    view.lines(80, 40)
    assert "-96 dBFS" in view.lines(80, 40)[2]


def test_the_picture_has_high_notes_above_and_later_ones_to_the_right():
    """Bands go up and frames to the right, from dark to bright."""
    view = ListenView("mic", LABELS, lambda scores: scores)
    log_mel = np.full((64, 90), -1, np.float32)
    log_mel[48:, 60:] = 1  # high, and late
    view.on_window(ClassifiedWindow(0, 0.0, np.zeros(100, np.int16), log_mel, np.zeros(6, np.float32)))
    picture = [line for line in view.lines(30, 40) if "\033[38" in line]
    dark, bright = "38;5;16", "38;5;230"
    assert bright in picture[0].split("\u2580")[25]
    assert dark in picture[0].split("\u2580")[5]
    assert bright not in picture[-1]


@given(columns=st.integers(1, 300), rows=st.integers(1, 120))
def test_whatever_the_terminal_it_fits(columns, rows):
    """No line is wider and no picture higher than the terminal, be it one character large."""
    lines = busy_view().lines(columns, rows)
    assert len(lines) <= rows
    assert all(len(COLOUR.sub("", line)) <= columns for line in lines)


def test_without_a_terminal_it_says_so(street, capsys):
    """In a pipe there is nothing to draw on: one line, with what to use instead."""
    assert main(["listen", "--input", str(street)]) == 2
    assert "the output is no terminal. Run it in one, or use `earshot run --trace`" in capsys.readouterr().err


class Terminal:
    """A pseudo terminal in which a command runs."""

    def __init__(self, *command, columns=90, rows=30):
        ours, theirs = pty.openpty()
        self._ours = ours
        self.resize(columns, rows)
        self.before = termios.tcgetattr(theirs)
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE)
        self._theirs = theirs
        self.output = b""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                self.output += os.read(self._ours, 65536)
            except OSError:
                return

    def resize(self, columns, rows):
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def frames(self):
        return self.output.decode(errors="ignore").split("\033[H")[1:]

    def after(self):
        return termios.tcgetattr(self._theirs)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._theirs)
        os.close(self._ours)


@pytest.fixture
def terminal(street):
    """`earshot listen` hears the demo's recording in a terminal."""
    terminal = Terminal(sys.executable, "-m", "device", "listen", "--input", str(street))
    yield terminal
    terminal.close()


def test_it_shows_the_recording_follows_the_size_and_leaves_the_terminal_clean(terminal):
    """The dog of the demo is seen and named; a smaller terminal gets a smaller picture; Ctrl-C puts all back."""
    wait_until(lambda: "start  dog_bark" in "".join(terminal.frames()), 90, "the dog's event")
    assert terminal.output.startswith(b"\033[?1049h")
    frame = terminal.frames()[-2]
    assert frame.count("\u2580") >= 90 * 5
    assert "dBFS" in frame
    terminal.resize(40, 12)
    seen = len(terminal.frames())
    wait_until(lambda: len(terminal.frames()) > seen + 3, 30, "frames of the new size")
    assert terminal.frames()[-2].count("\r\n") < 12
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(30) == 0
    wait_until(lambda: terminal.output.endswith(b"\033[?7h\033[?25h\033[?1049l"), 10, "the terminal as it was")
    assert terminal.after() == terminal.before
    assert terminal.process.stderr.read() == b""
