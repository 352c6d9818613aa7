"""Fixtures of the page's tests: a state directory with a history and a clip, and a client without a network."""

import json

import numpy as np
import pytest
from history_events import end_message, write_history
from starlette.testclient import TestClient

from device.clips.store import ClipFolder
from device.config.models import Config
from device.web.app import Page

TOKEN = "a token of sufficient length"


class FakeFeed:
    """Node feed without a broker: values are set by the test, and commands are kept."""

    def __init__(self):
        self.values = {}
        self.sent, self.asked, self.live_age = [], [], float("inf")
        self.version = 0
        self.is_connected = True
        self.fault = ""
        self.counted = {}

    def text(self, topic):
        return self.values.get(topic, "")

    def picture(self):
        return self.values.get("spectrogram", b"")

    def message(self, topic):
        return self.values.get(topic, {})

    def states(self, kind):
        names = sorted(name for name in self.values if name.startswith(f"{kind}/"))
        return {name.partition("/")[2]: self.values[name] for name in names}

    def events(self):
        return self.counted

    def seconds_since(self, topic):
        assert topic == "live"
        return self.live_age

    def ask_for_live(self, seconds):
        self.asked.append(seconds)

    def send_command(self, name, payload):
        self.sent.append((name, json.loads(payload) if payload.startswith("{") else payload))


@pytest.fixture
def token():
    """Return the token of the page."""
    return TOKEN


@pytest.fixture
def bearer():
    """Return the headers of a program with the token."""
    return {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def feed():
    """Return a feed of an online node with two labels."""
    feed = FakeFeed()
    feed.values |= {"status": "online", "listening": "ON", "threshold/siren": "0.5", "threshold/dog_bark": "0.7"}
    return feed


@pytest.fixture
def history(tmp_path, berlin_time):
    """Return the messages of a history: three sirens and a dog on one day in Berlin, one siren on the day before."""
    messages = [
        end_message(1795215600.0, "siren"),  # 2026-11-21 00:00
        end_message(1795302000.0 + 60, "siren", seconds=600.0, confidence=0.95),  # 2026-11-22 00:01
        end_message(1795302000.0 + 7 * 3600, "siren"),
        end_message(1795302000.0 + 7.5 * 3600, "dog_bark", confidence=0.72),
        end_message(1795302000.0 + 23.9 * 3600, "siren"),
    ]
    write_history(tmp_path / "history.db", messages)
    return messages


@pytest.fixture
def clip(tmp_path, history):
    """Return the event id of the dog's clip: three seconds of noise."""
    event_id = history[3]["event_id"]
    noise = (np.random.default_rng(1).standard_normal(48_000) * 3000).astype(np.int16)
    ClipFolder(tmp_path / "clips").save(event_id, 1795329000.0, "dog_bark", noise, 16_000)
    return event_id


@pytest.fixture
def make_client(tmp_path, feed):
    """Return a function that makes a client of the page, which a browser on this machine would be."""

    def make(token=TOKEN, base_url="http://localhost:8470", address="127.0.0.1", **web):
        page = Page(Config.model_validate({"node_id": "test", "web": web}), token, tmp_path, feed)
        return TestClient(page.application(), base_url=base_url, follow_redirects=False, client=(address, 50000))

    return make


@pytest.fixture
def client(make_client, history):
    """Return a client of the page with the history."""
    return make_client()
