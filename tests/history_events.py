"""Messages for tests of the history."""

from uuid6 import uuid7

from device.history.table import EndedEvent, HistoryTable
from device.mqtt.messages import event_message
from device.types import Event
from device.util.clock import CLOCK, Stamp, rfc3339

CREATED = Stamp(1.0, 2.0)
LABELS = ("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling", "siren", "street_music")
_EVENT = Event("end", "0" * 36, "siren", 0.9, dict.fromkeys(LABELS, 0.1), 0.0, 1.0, -20.0, "level")
_MESSAGE = event_message(_EVENT, node_id="test", bundle="urbansound8k@1.0.0", clock=CLOCK)


def end_message(start=1_000_000_000.0, label="siren", seconds=2.5, **changes):
    """Make the `end` message of an event, with a sequence number.

    Args:
        start: Unix seconds.
        label: label of the event.
        seconds: its duration, s.
        changes: other values of the message's fields.
    """
    fields = {"event_id": str(uuid7()), "label": label, "duration_seconds": seconds, "clock_synced": True}
    times = {"start_time": rfc3339(start), "end_time": rfc3339(start + seconds)}
    return {**_MESSAGE, **fields, **times, "sequence": 2, **changes}


def start_message():
    """Make the `start` message of an event."""
    return {**_MESSAGE, "type": "start", "end_time": None, "duration_seconds": None, "sequence": 1}


def write_history(path, messages):
    """Write a history with these messages, without a daemon."""
    table = HistoryTable(path)
    table.insert([EndedEvent(message, CREATED) for message in messages])
    table.close()
