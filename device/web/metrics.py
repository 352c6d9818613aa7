"""Metrics for Prometheus, in its text format 0.0.4.

The format is written here, because the client library keeps counters of its own, and these come from the daemon.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from device.mqtt.subscriber import finite_number
from device.web.node_feed import NodeFeed

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_VALUES: Final = (
    ("uptime_seconds", "gauge", "Time since the daemon started.", ("uptime_seconds",), 1.0),
    ("lost_audio_seconds_total", "counter", "Sound that was never classified.", ("lost_audio_ms",), 1e-3),
    ("listened_seconds_total", "counter", "Duration of sound received.", ("gate", "listened_seconds"), 1.0),
    ("gate_open_seconds_total", "counter", "Duration of sound with the gate open.", ("gate", "open_seconds"), 1.0),
    ("windows_classified_total", "counter", "Windows that were classified.", ("windows", "classified"), 1.0),
    ("inference_seconds", "gauge", "Median inference time of a window.", ("inference_ms",), 1e-3),
    ("outbox_depth", "gauge", "Messages that wait for the broker.", ("outbox", "depth"), 1.0),
    ("outbox_dropped_total", "counter", "Messages dropped before they were sent.", ("outbox", "dropped"), 1.0),
    ("history_events", "gauge", "Events in the history.", ("history", "rows"), 1.0),
    ("history_dropped_total", "counter", "Events forgotten before their time.", ("history", "dropped"), 1.0),
    ("commands_dropped_total", "counter", "Commands that were dropped.", ("commands_dropped",), 1.0),
    ("thread_failures_total", "counter", "Threads that ended unasked.", ("threads", "failures"), 1.0),
    ("stretch_factor", "gauge", "Load shedding: factor of hops and probes.", ("stretch", "factor"), 1.0),
    ("temperature_celsius", "gauge", "Temperature of the hottest zone.", ("temperature_celsius",), 1.0),
    ("memory_bytes", "gauge", "Resident memory of the daemon.", ("memory_mb",), 1e6),
)
"""Name, type, help, path in the health message, and factor of each value."""


def metrics(feed: NodeFeed) -> str:
    """Return the metrics of a node. A value that the daemon does not publish is left out."""
    return "".join(f"{line}\n" for line in _lines(feed))


def _lines(feed: NodeFeed) -> Iterator[str]:
    health = feed.message("health")
    microphone = health.get("microphone")
    yield from _metric("broker_connected", "gauge", "1 while this page has the broker.", [("", feed.is_connected)])
    online = feed.is_connected and feed.text("status") == "online"
    yield from _metric("online", "gauge", "1 while the daemon is online.", [("", online)])
    if isinstance(microphone, dict):
        works = microphone.get("state") == "ok"
        yield from _metric("microphone_ok", "gauge", "1 while the microphone works.", [("", works)])
    for name, kind, description, path, factor in _VALUES:
        value = _find(health, path)
        if value is not None:
            yield from _metric(name, kind, description, [("", value * factor)])
    events = [(f'{{label="{_escape(label)}"}}', count) for label, count in sorted(feed.events().items())]
    yield from _metric("events_total", "counter", "Events that started since this page did, by label.", events)


def _metric(name: str, kind: str, description: str, values: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP earshot_{name} {description}"
    yield f"# TYPE earshot_{name} {kind}"
    for labels, value in values:
        yield f"earshot_{name}{labels} {float(value):.10g}"


def _find(message: dict[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = message
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return finite_number(value)


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
