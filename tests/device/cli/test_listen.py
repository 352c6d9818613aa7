"""Tests of `earshot listen` and its view."""

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
COLOR = re.compile(r"\033\[[0-9;]*m")


def busy_view():
    """Make a view with the start of a dog bark's event; live scores are half of a window's scores."""
    view = ListenView("mic", LABELS, lambda scores: scores / 2)
    view.thresholds = dict.fromkeys(LABELS, 0.5)
    view.on_source_state("ok", "listens to 'USB Audio'")
    for _ in range(11):
        view.on_block(0.1, "level")
    view.record_level(-60.0)
    view.record_level(-24.0)
    view.record_level(-70.0)
    log_mel = np.linspace(-1, 1, 64 * 90, dtype=np.float32).reshape(64, 90)
    scores = np.array([0.8, 0.1, 0.05, 0.02, 0.01, 0.6], np.float32)
    view.on_window(ClassifiedWindow(0, 0.0, np.zeros(100, np.int16), log_mel, 2 * scores))
    named = {label: float(score) for label, score in zip(LABELS, scores, strict=True)}
    view.on_event(Event("start", "1", "dog_bark", 0.8, named, 1e9, None, -24.0, "level"))
    return view


def test_the_view_has_level_gate_labels_and_events():
    """The view has the loudest level, the gate with its reason, the top labels and the events."""
    text = "\n".join(COLOR.sub("", line) for line in busy_view().render(80, 40))
    assert "mic: listens to 'USB Audio'" in text
    assert re.search(r"level  \[#+-+\]  -24 dBFS", text)
    assert "gate   open (level) for 1.0 s" in text
    assert re.search(
        r"dog_bark +\[#+-+\]  80% \*\n.*a_label_with_a_ver +\[#+-+\]  60% \*\n.*siren +\[#+-+\]  10%  \n", text
    )
    assert "gun_shot" not in text.split("start")[0], "the view has five labels"
    assert re.search(r"\d\d:\d\d:\d\d  start  dog_bark +80%", text)


def test_the_level_is_the_loudest_since_the_last_rendering():
    """The second of two renderings without a block between them has the lowest level."""
    view = busy_view()
    view.render(80, 40)
    assert "-96 dBFS" in view.render(80, 40)[2]


def test_the_spectrogram_has_frequency_up_and_time_to_the_right():
    """Bands go up and frames to the right, from dark to bright."""
    view = ListenView("mic", LABELS, lambda scores: scores)
    log_mel = np.full((64, 90), -1, np.float32)
    log_mel[48:, 60:] = 1  # high frequencies in the last third
    view.on_window(ClassifiedWindow(0, 0.0, np.zeros(100, np.int16), log_mel, np.zeros(6, np.float32)))
    spectrogram = [line for line in view.render(30, 40) if "\033[38" in line]
    dark, bright = "38;5;16", "38;5;230"
    assert bright in spectrogram[0].split("\u2580")[25]
    assert dark in spectrogram[0].split("\u2580")[5]
    assert bright not in spectrogram[-1]


def test_without_colour_the_spectrogram_has_characters():
    """With NO_COLOR, the spectrogram has a character for each level, and the view no control sequence."""
    view = busy_view()
    view.color = False
    log_mel = np.full((64, 90), -1, np.float32)
    log_mel[48:, 60:] = 1  # high frequencies in the last third
    view.on_window(ClassifiedWindow(0, 0.0, np.zeros(100, np.int16), log_mel, np.zeros(6, np.float32)))
    lines = view.render(30, 40)
    assert "\033" not in "".join(lines)
    first = next(line for line in lines if "@" in line)
    assert (first[5], first[25]) == (" ", "@")
    assert len(lines) <= 40


def test_audioset_classes_are_shown_where_there_is_room():
    """With the AudioSet network, one line has the three likeliest classes; a low terminal leaves it out."""
    view = busy_view()
    view.classes = ("Speech", "Dog", "Bark", "Siren")
    audioset = np.array([0.1, 0.9, 0.6, 0.05], np.float32)
    view.on_window(
        ClassifiedWindow(0, 0.0, np.zeros(9, np.int16), np.zeros((8, 4), np.float32), np.zeros(6), audioset=audioset)
    )
    assert "AudioSet: Dog 90%, Bark 60%, Speech 10%" in view.render(80, 40)
    assert len(view.render(80, 12)) == 12
    assert not any("AudioSet" in line for line in view.render(80, 11))


@given(columns=st.integers(1, 300), rows=st.integers(1, 120))
def test_the_view_fits_into_any_terminal(columns, rows):
    """No line is wider than the terminal, and there are no more lines than rows, from one character on."""
    lines = busy_view().render(columns, rows)
    assert len(lines) <= rows
    assert all(len(COLOR.sub("", line)) <= columns for line in lines)


def test_an_output_without_a_terminal_is_an_error(demo_recording, capsys):
    """In a pipe the command ends with one line, which names an alternative."""
    assert main(["listen", "--input", str(demo_recording)]) == 2
    assert "the output is not a terminal. Run it in one, or use `earshot run --trace`" in capsys.readouterr().err


class Terminal:
    """Pseudo terminal with a command in it."""

    def __init__(self, *command, columns=90, rows=30):
        controller, terminal = pty.openpty()
        self._controller = controller
        self.resize(columns, rows)
        self.initial_attributes = termios.tcgetattr(terminal)
        self.process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE)
        self._terminal = terminal
        self.output = b""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                self.output += os.read(self._controller, 65536)
            except OSError:
                return

    def resize(self, columns, rows):
        fcntl.ioctl(self._controller, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def screens(self):
        """Return all screens so far."""
        return self.output.decode(errors="ignore").split("\033[H")[1:]

    def attributes(self):
        """Return the current attributes of the terminal."""
        return termios.tcgetattr(self._terminal)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)
        os.close(self._controller)


@pytest.fixture
def terminal(demo_recording):
    """Run `earshot listen` on the demo's recording in a terminal."""
    terminal = Terminal(sys.executable, "-m", "device", "listen", "--input", str(demo_recording))
    yield terminal
    terminal.close()


def test_the_recording_is_shown_and_the_terminal_restored(terminal):
    """The demo's dog bark appears; the view follows the terminal's size; Ctrl-C restores the terminal."""
    wait_until(lambda: "start  dog_bark" in "".join(terminal.screens()), 90, "the event of the dog bark")
    assert terminal.output.startswith(b"\033[?1049h")
    screen = terminal.screens()[-2]
    assert screen.count("\u2580") >= 90 * 5
    assert "dBFS" in screen
    terminal.resize(40, 12)
    count = len(terminal.screens())
    wait_until(lambda: len(terminal.screens()) > count + 3, 30, "screens of the new size")
    assert terminal.screens()[-2].count("\r\n") < 12
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(30) == 0
    wait_until(lambda: terminal.output.endswith(b"\033[?7h\033[?25h\033[?1049l"), 10, "the restored terminal")
    assert terminal.attributes() == terminal.initial_attributes
    assert terminal.process.stderr.read() == b""
