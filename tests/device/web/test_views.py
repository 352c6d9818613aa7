"""Tests of what the pages are made from: health, thresholds, live values, metrics, catalogues."""

import asyncio
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from history_events import end_message, write_history
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from device.history.reader import HistoryReader
from device.model.bundle import load_bundle
from device.mqtt import home_assistant_names
from device.mqtt.subscriber import parse_message
from device.notify.texts import ALL_TEXTS
from device.util.catalogue import LANGUAGES, catalogue, translator
from device.web import health_view, live_view, rendering
from device.web.health_view import view_health
from device.web.live import LiveStream, live_values
from device.web.metrics import metrics
from device.web.threshold_view import view_thresholds

WEB = Path(health_view.__file__).parent
NOW = 1795302000.0


def findings(feed, language="en"):
    """Return grade and text of each finding."""
    found = view_health(feed, "localhost:1883", "", translator(language), language)
    return [(finding.grade, finding.text) for finding in found]


def test_health_is_in_words(feed):
    """A fault comes first, as a sentence in the user's language, with numbers in its form."""
    feed.values["health"] = {
        "time": datetime.now(UTC).isoformat(),
        "microphone": {"state": "missing", "message": "x"},
        "lost_audio_ms": 1500,
        "outbox": {"depth": 3, "dropped": 0, "trouble": ""},
    }
    english, german = findings(feed), findings(feed, "de")
    assert english[0] == ("bad", "The microphone is missing. Plug it in.")
    assert ("warning", "1.5 s of sound were lost since the start.") in english
    assert ("warning", "1,5 s Ton gingen seit dem Start verloren.") in german
    assert ("warning", "3 messages wait for the broker.") in english
    assert len(english) == len(german)


def test_health_without_a_broker_or_daemon(feed):
    """An absent broker, and a daemon that is offline, are the findings."""
    feed.values["status"] = "offline"
    assert findings(feed)[0][1].startswith("Earshot is not running")
    feed.is_connected = False
    assert [grade for grade, _ in findings(feed)] == ["bad"]
    feed.fault = "refuses the connection (Not authorized). Check mqtt.username and mqtt.password_file"
    assert findings(feed) == [("bad", f"localhost:1883 {feed.fault}")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["time", "microphone", "lost_audio_ms", "outbox", "history", "threads", "throttling", "stretch", "near_misses"]
PARTS = ["state", "message", "depth", "dropped", "trouble", "rows", "missing", "now", "reason", "label", "confidence"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    health=st.dictionaries(
        st.sampled_from(FIELDS), JSON | st.dictionaries(st.sampled_from(PARTS), JSON) | st.lists(JSON), max_size=6
    ),
    event=st.dictionaries(st.sampled_from(["label", "level_dbfs", "gate", "start_time"]), JSON),
)
@example(health={"threads": {"missing": 5}, "throttling": {"now": 1}, "outbox": {"depth": float("nan")}}, event={})
def test_a_foreign_message_does_no_harm(feed, health, event):
    """A message with other types and numbers gives findings, metrics and live values without them."""
    feed.values |= {"health": health, "event": event}
    assert findings(feed)
    assert "earshot_online 1" in metrics(feed)
    json.dumps(live_values(feed, translator("en")), allow_nan=False)


@pytest.mark.parametrize("payload", [b"[" * 100_000, b"\xff", b"[1]", b"", b"{"])
def test_a_payload_that_is_no_message_is_empty(payload):
    """A payload that is no JSON object counts as no message."""
    assert parse_message(payload) == {}


def test_thresholds_count_the_last_week(tmp_path):
    """Each step counts the events of the last week that reach it, of a class with the slug of a label apart."""
    week = [end_message(NOW - 60 * index, "siren", confidence=0.5 + 0.1 * index) for index in range(1, 5)]
    old = end_message(NOW - 8 * 86400, "siren", confidence=0.9)
    of_audioset = end_message(NOW - 10, "Siren", vocabulary="audioset", confidence=0.3)
    write_history(tmp_path / "history.db", [*week, old, of_audioset])
    states = {"siren": "0.7", "audioset_siren": "0.2", "dog_bark": "broken"}
    with HistoryReader(tmp_path / "history.db") as reader:
        siren, audioset = view_thresholds(states, reader, NOW)
    assert [siren.passing[step] for step in (0, 60, 61, 80, 91, 100)] == [4, 4, 3, 2, 0, 0]
    assert siren.passing_now == 3
    assert (audioset.name, audioset.passing_now) == ("Siren", 1)


def test_live_values_name_what_sounds(feed):
    """The live values contain the labels that sound, the last event, and the nearest labels, in the user's language."""
    feed.values |= {
        "sound/siren": "ON",
        "sound/dog_bark": "OFF",
        "event": {"label": "siren", "level_dbfs": -20.5, "gate": "vad"},
        "health": {"near_misses": [{"label": "dog_bark", "confidence": 0.4}, 7]},
    }
    values = live_values(feed, translator("de"))
    assert values["sounding"] == ["Sirene"]
    assert values["last"] == {"label": "Sirene", "level_dbfs": -20.5, "gate": "vad", "start_time": ""}
    assert values["near"] == [{"label": "Hundegebell", "confidence": 0.4}]


def test_live_values_come_when_they_change(feed, monkeypatch):
    """A viewer gets the values at once and after a change, else a comment."""
    monkeypatch.setattr("device.web.live._PERIOD_SECONDS", 0)
    stream = LiveStream(feed)

    async def watch():
        events = stream.events("en")
        first = await anext(events)
        feed.version += 1
        second, third = await anext(events), await anext(events)
        await events.aclose()
        return first, second, third

    first, second, third = asyncio.run(watch())
    assert json.loads(first.removeprefix("data: ")) == json.loads(second.removeprefix("data: "))
    assert third.startswith(":")


def test_prometheus_reads_the_metrics(feed):
    """Prometheus' own parser reads names, types, values and labels, with quotes and line breaks escaped."""
    feed.values["health"] = {"lost_audio_ms": 2500, "outbox": {"depth": 4}, "microphone": {"state": "ok"}}
    labels = {"siren": 3, 'a "b"\\\n': 1}
    feed.counted = labels
    families = {family.name: family for family in text_string_to_metric_families(metrics(feed))}
    samples = {sample.name: sample.value for family in families.values() for sample in family.samples}
    assert samples["earshot_lost_audio_seconds_total"] == 2.5
    assert (samples["earshot_outbox_depth"], samples["earshot_microphone_ok"], samples["earshot_online"]) == (4, 1, 1)
    assert (families["earshot_outbox_depth"].type, families["earshot_lost_audio_seconds"].type) == ("gauge", "counter")
    assert all(family.documentation for family in families.values())
    assert {each.labels["label"]: each.value for each in families["earshot_events"].samples} == labels
    form = re.compile(r'# (HELP|TYPE) earshot_\w+ .+|earshot_\w+(\{label="([^"\\]|\\.)*"\})? [0-9.e+-]+')
    assert all(form.fullmatch(line) for line in metrics(feed).splitlines())


def texts():
    """Return the texts of pages and code that are translated."""
    sources = [path.read_text() for path in (*WEB.glob("*.py"), *WEB.glob("templates/*.html"))]
    found = {text for source in sources for text in re.findall(r'\b_\(\s*"([^"]*)"', source)}
    lists = (ALL_TEXTS, home_assistant_names.ALL_TEXTS, rendering.ALL_TEXTS)
    tables = (health_view.MICROPHONE, health_view.STRETCH, live_view.GATE)
    by_variable = {text for each in (*lists, *(table.values() for table in tables)) for text in each}
    return found | by_variable


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_a_catalogue_is_complete(language, bundle_path):
    """Each text has a translation with the same fields; each translation has a text, a label or an AudioSet class."""
    translations = catalogue(language)
    classes = set(load_bundle(bundle_path).audioset_classes)
    assert sorted(texts() - set(translations)) == []
    assert [text for text in translations if text not in texts() | classes and text[0].isupper()] == []
    for text, translation in translations.items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", translation))
