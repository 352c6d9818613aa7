"""Pictures of terminal and page for docs/pictures, from the real programs (`make screenshots`).

A daemon plays the demo's recording in real time, and the page shows it with a history of two weeks. Terminals are
rendered by pyte, and Debian's chromium takes the pictures. Those of Home Assistant are made by
tests/home_assistant/pictures.py, which `make screenshots` runs as well.
"""

import fcntl
import html
import os
import pty
import random
import re
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyte
from PIL import Image
from playwright.sync_api import Browser as PlaywrightBrowser
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from history_events import end_message, write_history  # noqa: E402 - of the tests
from support import Mosquitto, free_port, is_open, wait_until  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
RECORDING = "deploy/demo/street.flac"
HEX = re.compile("[0-9a-f]{6}")
COLORS = 128
"""Colours of a picture, so that its file is small."""
HOURS = {
    "dog_bark": (11, range(8, 23)),
    "children_playing": (7, range(13, 20)),
    "car_horn": (5, range(7, 21)),
    "siren": (4, range(24)),
    "drilling": (4, range(9, 17)),
    "street_music": (1, range(16, 22)),
}
"""Events of a day, and the hours in which they may be, for each label of the history."""
STYLE = "margin:0;padding:12px;background:#16181d;color:#d8dbe2;font:15px/18px 'DejaVu Sans Mono',monospace"


def history(state: Path) -> None:
    """Write a history of two weeks, the same for each day's date."""
    midnight = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
    now, messages = datetime.now(), []
    for day in range(14):
        chance = random.Random(day)
        for label, (count, hours) in HOURS.items():
            for _ in range(chance.randint(count // 2, count + 2)):
                at = (
                    midnight
                    - timedelta(days=day)
                    + timedelta(hours=chance.choice(hours), seconds=chance.randrange(3600))
                )
                seconds, confidence = round(chance.uniform(1, 20), 1), round(chance.uniform(0.6, 0.99), 2)
                if at < now - timedelta(minutes=5):
                    messages.append(end_message(at.timestamp(), label, seconds, confidence=confidence))
    write_history(state / "history.db", sorted(messages, key=lambda message: str(message["start_time"])))


class Terminal:
    """Terminal of a fixed size with one command.

    Args:
        command: arguments of `earshot`.
        environment: environment variables.
        rows: height, in lines.
        columns: width, in characters.
    """

    def __init__(self, command: list[str], environment: dict[str, str], rows: int, columns: int) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "device", *command],
            env=environment,
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait(self) -> None:
        """Wait for the end of the command."""
        self._process.wait(120)
        self._reader.join(10)

    def close(self) -> None:
        """End the command."""
        self._process.terminate()
        self.wait()
        os.close(self._master)

    def page(self) -> str:
        """Return the screen as an HTML page, without the empty lines at its end."""
        lines = []
        for row in range(self.screen.lines):
            cells = [self.screen.buffer[row][column] for column in range(self.screen.columns)]
            lines.append("".join(map(_cell, cells)).rstrip())
        text = "\n".join(lines).rstrip()
        return f'<meta charset="utf-8"><body style="{STYLE}"><pre style="margin:0;font:inherit">{text}</pre>'

    def _read(self) -> None:
        while True:
            try:
                self._stream.feed(os.read(self._master, 65536))
            except OSError:  # the command has ended
                return


def _cell(cell: pyte.screens.Char) -> str:
    """Return a character of the screen as HTML."""
    style = "".join(
        f"{key}:{'#' + color if HEX.fullmatch(color) else color};"
        for key, color in (("color", cell.fg), ("background", cell.bg))
        if color != "default"
    )
    style += "font-weight:bold;" if cell.bold else ""
    text = html.escape(cell.data)
    return f'<span style="{style}">{text}</span>' if style else text


class Browser:
    """Chromium that takes pictures.

    Args:
        chromium: playwright's browser.
    """

    def __init__(self, chromium: PlaywrightBrowser) -> None:
        self._chromium = chromium

    def take(self, address: str, name: str, size: tuple[int, int], wait_for: str, **options: Any) -> None:
        """Take a picture of an address when it has an element, in a window of a size in pixels."""
        page = self._chromium.new_page(viewport={"width": size[0], "height": size[1]}, **options)
        page.goto(address)
        page.wait_for_selector(wait_for, timeout=120_000)
        save(page, PICTURES / f"{name}.png")
        page.close()


def save(page: Page, path: Path) -> None:
    """Save a picture of a page with few colours, and print the size of its file."""
    page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLORS).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e3:.0f} kB")


def move_to_the_evening() -> str:
    """Use the time zone in which it is evening, so that the day on the page is full; return its name."""
    hours = 20 - datetime.now(UTC).hour
    hours -= 24 if hours > 12 else 0
    os.environ["TZ"] = f"Etc/GMT{-hours:+d}"  # these names have the sign of POSIX
    time.tzset()
    return os.environ["TZ"]


def main() -> None:
    """Start broker, daemon and page, and take each picture."""
    zone = move_to_the_evening()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        history(folder)
        broker = stack.enter_context(closing(Mosquitto(folder)))
        broker.start()
        settings = {"EARSHOT_MQTT__PORT": str(broker.port), "EARSHOT_NODE_ID": "balcony", "TERM": "xterm-256color"}
        environment = {**os.environ, **settings, "STATE_DIRECTORY": name, "PYTHONPATH": str(ROOT)}

        chromium = stack.enter_context(sync_playwright()).chromium
        browser = Browser(chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]))

        def take(terminal: Terminal, picture: str, width: int, height: int) -> None:
            (folder / "terminal.html").write_text(terminal.page())
            browser.take((folder / "terminal.html").as_uri(), picture, (width, height), "pre")

        with closing(Terminal(["history", "--since", "7d", "--by", "day"], environment, 12, 110)) as terminal:
            terminal.wait()
            take(terminal, "history", 1020, 170)
        with closing(Terminal(["listen", "--input", RECORDING], environment, 36, 100)) as terminal:
            wait_until(lambda: "start  jackhammer" in "\n".join(terminal.screen.display), 300, "the jackhammer")
            time.sleep(2)
            take(terminal, "listen", 924, 672)

        def start(*arguments: Any) -> None:
            process = subprocess.Popen(
                [sys.executable, "-m", "device", *map(str, arguments)], env=environment, cwd=ROOT
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)

        port = free_port()
        address = f"http://127.0.0.1:{port}/"
        start("web", "--quiet", "--port", port)
        wait_until(lambda: is_open(port), 60, "the page")
        start("run", "--quiet", "--input", RECORDING, "--speed", "realtime")
        level = "#live .measured:not([hidden])"
        jackhammer = ".state:has-text('jackhammer') ~ .measured:not([hidden]) .nearest .name-of:has-text('jackhammer')"
        browser.take(address, "web_day", (1120, 1330), f"#live {jackhammer}", timezone_id=zone)
        browser.take(address, "web_dark", (1120, 900), level, timezone_id=zone, color_scheme="dark")
        browser.take(address, "web_phone", (500, 1200), level, timezone_id=zone, color_scheme="dark", locale="de")


if __name__ == "__main__":
    main()
