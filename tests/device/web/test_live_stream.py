"""Tests of the live view: when the daemon is asked for it, what the page gets, and what it gets without an answer."""

import asyncio
import json
import time

import pytest
from fake_broker import FakeBroker
from paho.mqtt.client import MQTTMessage
from support import wait_until

from device.config.models import MqttConfig
from device.util.catalogue import translator
from device.web import live as live_module
from device.web.live import LiveStream, live_values
from device.web.live_view import view_live
from device.web.node_feed import NodeFeed

LIVE = {
    "time": "2026-11-28T03:00:10.000Z",
    "level_db": -45.0,
    "noise_floor_db": -67.5,
    "calibrated": False,
    "gate": {"open": True, "reason": "level", "since": "2026-11-28T03:00:02.000Z"},
    "window": {
        "age_seconds": 4.0,
        "unknown": False,
        "nearest": [{"label": "dog_bark", "confidence": 0.3, "threshold": 0.4}],
    },
}


@pytest.fixture
def quick(monkeypatch):
    """Let the stream look at its feed every 10 ms, and ask every 0.1 s."""
    monkeypatch.setattr(live_module, "_PERIOD_SECONDS", 0.01)
    monkeypatch.setattr(live_module, "_ASK_SECONDS", 0.1)


async def until(condition):
    """Wait until a condition holds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def test_the_daemon_is_asked_while_somebody_watches(feed, quick):
    """It is asked again and again from the first viewer to the last one, once for all, and not afterwards."""

    async def watch():
        stream = LiveStream(feed)
        assert feed.asked == []
        with stream.admit(), stream.admit():
            await until(lambda: len(feed.asked) >= 3)
        first = len(feed.asked)
        await asyncio.sleep(0.3)
        assert len(feed.asked) == first
        with stream.admit():
            await until(lambda: len(feed.asked) > first)

    asyncio.run(watch())
    assert set(feed.asked) == {30}


def test_viewers_share_one_request(feed, monkeypatch):
    """Twenty viewers cause one request, and one text for each language."""
    monkeypatch.setattr(live_module, "_PERIOD_SECONDS", 0.01)
    made = []
    monkeypatch.setattr(live_module, "live_values", lambda *arguments: made.append(arguments) or {})

    async def watch():
        stream = LiveStream(feed)
        with stream.admit():
            streams = [stream.events(language) for language in ("en", "de") * 10]
            await asyncio.gather(*(anext(each) for each in streams))
            feed.version += 1
            await asyncio.gather(*(anext(each) for each in streams))
            for each in streams:
                await each.aclose()

    asyncio.run(watch())
    assert (len(feed.asked), len(made)) == (1, 4)


def test_a_daemon_that_is_away_is_asked_when_it_is_back(feed, monkeypatch):
    """An offline daemon is not asked, since the broker could keep the request; it is asked as soon as it is online."""
    monkeypatch.setattr(live_module, "_PERIOD_SECONDS", 0.01)
    feed.values["status"] = "offline"

    async def watch():
        with LiveStream(feed).admit():
            await asyncio.sleep(0.1)
            assert feed.asked == []
            for count in (1, 2):
                feed.values["status"] = "online"
                await until(lambda count=count: len(feed.asked) == count)
                feed.values["status"] = "offline"
                await asyncio.sleep(0.05)

    asyncio.run(watch())


@pytest.mark.parametrize(
    ("changes", "age", "measuring"),
    [
        ({}, 1.0, "yes"),
        ({}, 10.0, "no_answer"),
        ({"health": {"microphone": {"state": "missing"}}}, 10.0, "no_sound"),
        ({"status": "offline"}, 1.0, "off"),
        ({"listening": "OFF"}, 1.0, "off"),
    ],
)
def test_the_page_gets_the_reason_of_no_level(feed, monkeypatch, changes, age, measuring):
    """Without `live` messages, the values contain the reason; old messages are not shown."""
    monkeypatch.setattr(live_module, "_PERIOD_SECONDS", 0.01)
    monkeypatch.setattr(live_module, "_ANSWER_SECONDS", 0.1)
    feed.values |= {"live": LIVE, **changes}
    feed.live_age = age

    async def watch():
        stream = LiveStream(feed)
        with stream.admit():
            events = stream.events("en")
            states = []
            while not states or states[-1]["measuring"] == "starts":
                states.append(json.loads((await anext(events)).removeprefix("data: ")))
            await events.aclose()
        return states[-1]

    values = asyncio.run(asyncio.wait_for(watch(), 10))
    assert values["measuring"] == measuring
    assert (values["live"] is not None) == (measuring == "yes")


def test_the_view_is_in_words(berlin_time):
    """Level and floor have places on the bar, the gate is a sentence with local times, labels have names."""
    view = view_live(LIVE, translator("en"))
    assert (view["level_place"], view["floor_place"], view["unit"]) == (50.0, 25.0, "dBFS(A)")
    assert view["gate"] == "open since 04:00:02, by a sound above the noise floor"
    assert view["classified"] == "Last window at 04:00:06"
    nearest = view_live(LIVE, translator("de"))["nearest"]
    assert nearest == [{"label": "Hundegebell", "confidence": 0.3, "threshold": 0.4}]
    shut = LIVE | {"calibrated": True, "level_db": 65.0, "gate": {"open": False, "reason": None}, "window": None}
    view = view_live(shut, translator("en"))
    assert (view["level_place"], view["unit"]) == (50.0, "dB(A)")
    assert (view["gate"], view["classified"], view["nearest"]) == ("shut since ?", "", [])


@pytest.mark.parametrize("value", [None, 5, "x", float("nan"), 10**400, [], {}, [[]], {"nearest": [5, {}]}])
@pytest.mark.parametrize("key", LIVE)
def test_a_foreign_live_message_does_no_harm(feed, key, value):
    """A message with other types and numbers is shown without them."""
    feed.values["live"] = {**LIVE, key: value}
    json.dumps(live_values(feed, translator("en"), "yes"), allow_nan=False)


def test_a_request_is_not_kept_by_the_broker():
    """The request has QoS 0, and none is made without a broker."""
    with FakeBroker() as broker:
        feed = NodeFeed(MqttConfig(port=broker.port), None, "test")
        feed.ask_for_live(30)
        _check_request(broker, feed)


def _check_request(broker, feed):
    """Connect, make a request, and check it."""
    with feed:
        wait_until(lambda: feed.is_connected, 15, "the connection")
        feed.ask_for_live(30)
        wait_until(lambda: broker.received, 5, "the request")
        message = broker.received[0].message
        assert (message.topic, message.payload, message.qos, message.retain) == (
            "earshot/test/command/live",
            b"30",
            0,
            False,
        )
        assert feed.seconds_since("live") == float("inf")
        arrived = MQTTMessage(topic=b"earshot/test/live")
        arrived.payload = json.dumps(LIVE).encode()
        feed.on_message(arrived)
        assert feed.seconds_since("live") < 5
        assert len(broker.received) == 1
