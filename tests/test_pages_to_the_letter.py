"""Tests of the commands of README.md and docs/getting_started.md: a user who types them to the letter succeeds."""

import json
import re
import subprocess
import threading
import tomllib
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support import wait_until
from terminals import Checkout, commands

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
README, GETTING_STARTED = ROOT / "README.md", ROOT / "docs" / "getting_started.md"
COMMANDS = [(page, command) for page in (README, GETTING_STARTED) for command in commands(page)]

ON_THE_PI = "changes a Pi as root: tests/deploy/getting_started.sh does it in a booted Debian"
ELSEWHERE = {
    r"make demo": "installs packages: `make test` runs setup.sh, and tests/deploy/test_demo.py the demo",
    r"sudo apt(-get)? .*": ON_THE_PI,
    r"git clone ADDRESS earshot": "needs a published address",
    r"sudo earshot/deploy/install\.sh": ON_THE_PI,
    r"(cd|sudo (cp|chown|chmod|mkdir|mosquitto_passwd)) .*": ON_THE_PI,
    r"sudo nano .*": "an editor, for a person",
    r"(sudo )?systemctl .*": ON_THE_PI,
    r"journalctl .*": ON_THE_PI,
    r"ssh .*|scp .*": "needs a second machine",
    r"\.venv/bin/pip install .*": "needs the network: test_the_extras_exist has its extras",
    r"\.venv/bin/earshot-train retrain .*": "hours of training: tests/test_docs.py has its arguments",
    r"\.venv/bin/earshot run --set model\.bundle=runs/mine/bundle": "needs the bundle of that training",
}
"""Commands that do not run here, as regular expressions, with the reason."""

HERE = {
    r"earshot devices --meter": r"dBFS +ok",
    r"earshot check.*": r"\[ok\] +broker",
    r"earshot history --since 7d --by day": r"dog_bark \d",
    r"earshot diary --from 7d": r"\.html",
    r"earshot classify FILE\.\.\.": r"dog_bark",
    r"STATE_DIRECTORY=/var/lib/earshot earshot clips list": r"dog_bark",
    r"STATE_DIRECTORY=/var/lib/earshot earshot clips export /tmp/sounds": r"",
}
"""Commands that end by themselves, with a part of their output."""
ENDLESS = {
    r"earshot listen": r"gate +open",
    r"earshot run --set mqtt\.host=YOUR_BROKER": r"",
    r"earshot events.*": r"end +dog_bark",
    r"earshot level": r"dB",
}
"""Commands that run until Ctrl-C, with a part of their output."""


def find(table, command):
    """Return the key of the table that matches a command; None without one."""
    keys = [key for key in table if re.fullmatch(key, command)]
    assert len(keys) <= 1, f"{command}: {keys}"
    return keys[0] if keys else None


def bare(command):
    """Return a command of this project without `sudo` and the folder of the virtual environment."""
    return command.removeprefix("sudo ").removeprefix(".venv/bin/")


def test_each_command_runs_here_or_has_a_reason():
    """Each command of both pages is in one table, and each entry has a command."""
    used = set()
    for page, command in COMMANDS:
        (key,) = [
            key
            for key in (find(ELSEWHERE, command), find(HERE, bare(command)), find(ENDLESS, bare(command)))
            if key is not None
        ] or [None]
        assert key is not None, f"{page.name}: {command!r} is in no table of this test"
        used.add(key)
    assert used == {*ELSEWHERE, *HERE, *ENDLESS}


def test_the_extras_exist():
    """The extras that the pages install are extras of the package."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installed = {extra for _page, command in COMMANDS for extra in re.findall(r"-e '\.\[(.*?)\]'", command)}
    assert installed
    assert installed <= set(extras)


@contextmanager
def playing(sound_server, recording):
    """Play a recording into the microphone, again and again."""
    done = threading.Event()

    def play():
        while not done.is_set():
            sound_server.play(recording)

    player = threading.Thread(target=play)
    player.start()
    try:
        yield
    finally:
        done.set()
        player.join()


@pytest.fixture
def bark(tmp_path, demo_recording):
    """Cut the dog's bark from the demo's recording."""
    path = tmp_path / "bark.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-ss", "3", "-t", "8", "-i", demo_recording, path], check=True)
    return path


def correct(peer, checkout):
    """Correct the first clip as Home Assistant does, which the page asks for before the export."""
    end = next(json.loads(text) for text in peer.payloads("earshot/balcony/event") if b'"end"' in text)
    correction = {"event_id": end["event_id"], "label": end["label"]}
    peer.publish("earshot/balcony/command/correct", json.dumps(correction))
    wait_until(lambda: list(checkout.state.glob("clips/corrected/**/*.flac")), 30, "the correction")


def test_the_commands_run_to_the_letter(tmp_path, sound_server, mosquitto, peer, bark):
    """Each command that can run here succeeds and prints what the page promises, in the order of the pages."""
    settings = {
        "EARSHOT_MQTT__HOST": "127.0.0.1",
        "EARSHOT_MQTT__PORT": str(mosquitto.port),
        "EARSHOT_CLIPS__ENABLED": "true",
        "EARSHOT_NODE_ID": "balcony",
        "EARSHOT_MODEL__BUNDLE": "models/urbansound8k-light",  # a quicker start of each command
    }
    names = {
        "YOUR_BROKER": "127.0.0.1",
        "FILE...": str(bark),
        "/tmp/sounds": str(tmp_path / "sounds"),
    }
    daemon = None
    typed_before = set()
    with (
        closing(Checkout(tmp_path, {**sound_server.environment, **settings})) as checkout,
        playing(sound_server, bark),
    ):
        names["/var/lib/earshot"] = str(checkout.state)
        for page, command in COMMANDS:
            if find(ELSEWHERE, command) or bare(command) in typed_before:
                continue
            typed_before.add(bare(command))
            if "clips export" in command:
                correct(peer, checkout)
            typed = command
            for name, meaning in names.items():
                typed = typed.replace(name, meaning)
            terminal = checkout.open(typed)
            if key := find(HERE, bare(command)):
                code = terminal.wait()
                assert code == 0, f"{page.name}: {terminal.text}"
                assert re.search(HERE[key], terminal.text), f"{page.name}: {command}: {terminal.text}"
            elif bare(command).startswith("earshot run"):
                daemon = terminal  # it runs on, as in the other terminal of the page
            else:
                terminal.wait_for(ENDLESS[find(ENDLESS, bare(command))], 120)
                terminal.interrupt()
                assert terminal.wait() == 0, f"{page.name}: {terminal.text}"
        daemon.interrupt()
        assert daemon.wait() == 0, daemon.text
