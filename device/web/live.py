"""Live values: server-sent events to a browser, twice a second at most, and only while a page is open.

The daemon publishes no level between events, so the level shown is that of the last event.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from device.mqtt.subscriber import finite_number
from device.util.catalogue import Translate, name_of_label
from device.web.node_feed import NodeFeed

MOST_VIEWERS: Final = 20
"""Browsers that may watch at once. Each holds a connection."""
_PERIOD_SECONDS: Final = 0.5
_SILENT_PERIODS: Final = 30
"""Periods without a change after which a comment keeps the connection open."""
_NEAREST: Final = 3
"""Near misses that are shown."""


class LiveStream:
    """Server-sent events for all viewers. Used from the event loop.

    Args:
        feed: what the daemon publishes.
    """

    def __init__(self, feed: NodeFeed) -> None:
        self._feed = feed
        self._viewers = 0

    @property
    def is_full(self) -> bool:
        """True if no further viewer is admitted."""
        return self._viewers >= MOST_VIEWERS

    async def events(self, translate: Translate) -> AsyncIterator[str]:
        """Yield the values as they change, until the viewer leaves; see `live_values`."""
        self._viewers += 1
        try:
            version, silent = -1, 0
            while True:
                if self._feed.version != version:
                    version, silent = self._feed.version, 0
                    yield f"data: {json.dumps(live_values(self._feed, translate))}\n\n"
                elif silent >= _SILENT_PERIODS:
                    silent = 0
                    yield ": nothing new\n\n"
                await asyncio.sleep(_PERIOD_SECONDS)
                silent += 1
        finally:
            self._viewers -= 1


def live_values(feed: NodeFeed, translate: Translate) -> dict[str, Any]:
    """Return the live values: state of the daemon, labels that sound now, last event, nearest labels.

    Args:
        feed: what the daemon publishes.
        translate: translates labels into the viewer's language.
    """
    event, health = feed.message("event"), feed.message("health")
    misses = health.get("near_misses")
    near = [miss for miss in misses if isinstance(miss, dict)] if isinstance(misses, list) else []

    def name(message: dict[str, Any]) -> str:
        return name_of_label(str(message.get("label", "")), translate)

    return {
        "online": feed.is_connected and feed.text("status") == "online",
        "listening": feed.text("listening") != "OFF",
        "sounding": [name_of_label(slug, translate) for slug, state in feed.states("sound").items() if state == "ON"],
        "unknown": feed.text("unknown/last"),
        "last": {
            "label": name(event),
            "level_dbfs": finite_number(event.get("level_dbfs")),
            "gate": str(event.get("gate", "")),
            "start_time": str(event.get("start_time", "")),
        },
        "near": [
            {"label": name(miss), "confidence": finite_number(miss.get("confidence"))} for miss in near[-_NEAREST:]
        ],
    }
