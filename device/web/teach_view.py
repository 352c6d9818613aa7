"""Teaching view: clips that can teach a label, the taught labels, and the commands that a form means."""

import json
from dataclasses import dataclass
from typing import Any, Final

from device.clips.store import ClipFolder
from device.util.local_time import local
from device.web.forms import last
from device.web.health_view import part_of, values_of

CLIPS_SHOWN: Final = 40
"""Clips that can be chosen, the newest first. A lesson takes at most 20."""


@dataclass(frozen=True)
class TeachingClip:
    """Clip that can teach.

    Attributes:
        event_id: its event.
        label: slug of the event, or its corrected label.
        time: local time of its start, as in 2026-11-27 03:12.
    """

    event_id: str
    label: str
    time: str


@dataclass(frozen=True)
class TeachingView:
    """Clips that can be chosen, and the taught labels with their faults.

    Attributes:
        clips: the newest clips.
        labels: taught labels in use.
        exclusions: names of which some sounds were taught not to be theirs.
        faults: taught labels that cannot be used, and why.
        last_refusal: reason why the last lesson was refused; None after one that succeeded.
    """

    clips: list[TeachingClip]
    labels: list[str]
    exclusions: list[str]
    faults: list[str]
    last_refusal: str | None


def view_teaching(folder: ClipFolder, health: dict[str, Any]) -> TeachingView:
    """Return the clips, and what the daemon's health contains about taught labels."""
    taught = part_of(health, "taught")
    return TeachingView(
        [
            TeachingClip(clip.event_id, clip.label, f"{local(clip.start_time):%Y-%m-%d %H:%M}")
            for clip in folder.clips()[: -CLIPS_SHOWN - 1 : -1]
        ],
        [str(label) for label in values_of(taught, "labels")],
        [str(name) for name in values_of(taught, "exclusions")],
        [str(fault) for fault in values_of(taught, "faults")],
        taught.get("last_refusal"),
    )


def teaching_command(form: dict[str, list[str]]) -> tuple[str, str]:
    """Return name and payload of the command that a form means: to teach, or to remove a taught label."""
    if "untaught" in form:
        return "untaught", last(form, "untaught")
    lesson = {"label": last(form, "label").strip(), "event_ids": form.get("clip", []), "exclude": "exclude" in form}
    return "teach", json.dumps(lesson)
