"""Report of a taught sound: its figures in words."""

from typing import Any

from device.teaching.taught_file import Figures, TaughtSound


def describe(sound: TaughtSound) -> str:
    """Describe a taught sound with its figures, for a person."""
    figures = sound.figures
    role = f"sounds that are not {sound.name}" if sound.is_exclusion else sound.name
    parts = [
        f"{role}: learned from {figures.clips} clips",
        f"Left out in turn, {figures.recognized} of {figures.clips} are recognized",
    ]
    if sound.is_exclusion:
        parts += _describe_rivals(sound.name, figures)
    elif figures.ambience_minutes:
        hourly = 60.0 * figures.false_alarms / figures.ambience_minutes
        parts.append(
            f"False alarms: {figures.false_alarms} in {figures.ambience_minutes:g} minutes of shipped ambience "
            f"({hourly:.0f} an hour)"
        )
    else:
        parts.append("False alarms: not measured, because the shipped ambience is for another network")
    if figures.kept_clips and not sound.is_exclusion:
        parts.append(f"It is detected in {figures.kept_detected} of {figures.kept_clips} other clips kept here")
    return ". ".join(parts)


def _describe_rivals(name: str, figures: Figures) -> list[str]:
    if not figures.rivals:
        return [f"No sound of {name} is known, so its loss is not measured"]
    share = figures.rivals_detected / figures.rivals
    return [f"Known sounds of {name} that would be lost: {share:.0%} of {figures.rivals} windows"]


def as_object(sound: TaughtSound) -> dict[str, Any]:
    """Return a taught sound as a JSON object."""
    kind = "not" if sound.is_exclusion else "label"
    clips = [origin.name for origin, _ in sound.clips]
    return {"name": sound.name, "kind": kind, "clips": clips, "figures": sound.figures.model_dump()}
