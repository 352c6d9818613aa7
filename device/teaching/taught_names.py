"""Names of taught labels: they become part of topics, folders and entity ids, and no other sound has them."""

from collections.abc import Iterable
from typing import get_args

from device.config.detection import AlarmPattern
from device.errors import InputError
from device.model.bundle import Bundle
from device.model.sound_names import sound_names
from device.types import UNKNOWN
from device.util.text import slug

PATTERNS: tuple[AlarmPattern, ...] = get_args(AlarmPattern)
"""Names of alarm patterns, which are detected by rule."""
_RESERVED = (UNKNOWN, "none")
"""Names with a meaning: the decision for other sounds, and the corrected label of an event that was none."""


def check_label(label: str) -> None:
    """Check the form of a taught label.

    Raises:
        InputError: it is no such name. The message contains the nearest one.
    """
    if label in _RESERVED:
        raise InputError(f"{label}: is reserved. Choose another name for the label")
    if not is_taught_name(label):
        nearest = slug(label)[:64].strip("_")
        cure = f" Use {nearest}" if nearest else ""
        raise InputError(f"label {label[:64]!r}: must be 1 to 64 lower-case letters, digits and '_'.{cure}")


def check_free(label: str, bundle: Bundle, classes: Iterable[str]) -> None:
    """Check that no other sound has the name of a taught label.

    Args:
        label: as `check_label` accepts it.
        bundle: its labels.
        classes: AudioSet classes of `events.audioset`: their slugs are taken.

    Raises:
        InputError: a sound has it.
    """
    if label in PATTERNS:
        raise InputError(f"{label}: is an alarm pattern, which is detected by rule. Choose another name")
    if label in bundle.labels:
        raise InputError(
            f"{label}: is a label of the bundle. Choose another name, as in my_{label}, or train with more clips"
        )
    for name in sound_names(bundle.labels, classes):
        if name.slug == label:
            raise InputError(f"{label}: events.audioset has this class already ({name.label}). Choose another name")


def is_taught_name(name: str) -> bool:
    """Return whether a taught label may have this name."""
    return 1 <= len(name) <= 64 and name == slug(name) and name not in _RESERVED
