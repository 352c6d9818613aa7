"""Live view: level, gate and nearest labels of a `live` message, as the page draws them."""

from datetime import timedelta
from typing import Any, Final

from device.level.calibration import LevelScale
from device.mqtt.subscriber import finite_number
from device.util.catalogue import Translate, name_of_label
from device.util.local_time import local_of
from device.web.health_view import part_of, values_of

GATE: Final = {
    "vad": "open since {time}, by a sound like a voice",
    "level": "open since {time}, by a sound above the noise floor",
    "probe": "open since {time}, by a regular probe",
    "": "shut since {time}",
}
"""Sentence for what opened the gate."""
_BAR_DBFS: Final = (-90.0, 0.0)
_BAR_DB: Final = (20.0, 110.0)
"""Levels at both ends of the bar, without and with a calibration, dB."""
_LABELS: Final = 3


def view_live(message: dict[str, Any], translate: Translate) -> dict[str, Any]:
    """Return what the page draws. The message comes over the network, so it may contain anything.

    Args:
        message: a `live` message.
        translate: translates into the viewer's language.

    Returns:
        Levels with their unit, and their places on the bar in percent; the gate as a sentence; the nearest labels with
        the time of their window, empty where nothing was classified.
    """
    _ = translate
    scale = LevelScale(0.0 if message.get("calibrated") is True else None)
    level, floor = finite_number(message.get("level_db")), finite_number(message.get("noise_floor_db"))
    gate, window = part_of(message, "gate"), part_of(message, "window")
    reason, age = str(gate.get("reason") or ""), finite_number(window.get("age_seconds"))
    return {
        "level": level,
        "floor": floor,
        "unit": scale.unit,
        "level_place": _place(level, scale),
        "floor_place": _place(floor, scale),
        "gate": _(GATE.get(reason, GATE[""]), time=_clock(gate.get("since"))),
        "classified": _("Last window at {time}", time=_clock(message.get("time"), age or 0.0)) if window else "",
        "unknown": window.get("unknown") is True,
        "nearest": [_label(each, translate) for each in values_of(window, "nearest")[:_LABELS] if _is_label(each)],
    }


def _place(level: float | None, scale: LevelScale) -> float:
    """Return the place of a level on the bar, 0 to 100 %."""
    low, high = _BAR_DB if scale.calibrated else _BAR_DBFS
    return 0.0 if level is None else round(100 * min(1.0, max(0.0, (level - low) / (high - low))), 1)


def _clock(rfc3339: object, earlier_seconds: float = 0.0) -> str:
    """Return the local time of day, some seconds earlier; a question mark for no time."""
    try:
        return f"{local_of(str(rfc3339)) - timedelta(seconds=earlier_seconds):%H:%M:%S}"
    except (ValueError, OverflowError):
        return "?"


def _is_label(label: object) -> bool:
    return isinstance(label, dict) and all(
        finite_number(label.get(key)) is not None for key in ("confidence", "threshold")
    )


def _label(label: dict[str, Any], translate: Translate) -> dict[str, Any]:
    return {
        "label": name_of_label(str(label.get("label", "")), translate),
        **{key: min(1.0, max(0.0, finite_number(label[key]) or 0.0)) for key in ("confidence", "threshold")},
    }
