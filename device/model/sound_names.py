"""Names of the sounds that can become events: labels, taught labels, AudioSet classes, alarm patterns; with slugs."""

from collections.abc import Iterable

from device.types import SoundName
from device.util.text import slug

AUDIOSET_PREFIX = "audioset_"
"""Prefix of the slug of an AudioSet class that would equal a label, as with the class `Siren` and the label `siren`."""


def sound_names(
    labels: Iterable[str], classes: Iterable[str] = (), patterns: Iterable[str] = (), *, taught: Iterable[str] = ()
) -> tuple[SoundName, ...]:
    """Return the names of labels, taught labels, AudioSet classes and alarm patterns, each with its own slug.

    The slug of a class depends on the labels alone, so a topic never changes with the other classes of the config.
    AudioSet's 527 display names have 527 slugs.

    Args:
        labels: of the bundle.
        classes: display names of AudioSet classes.
        patterns: names of alarm patterns.
        taught: labels that the user taught, none of which is a label of the bundle or an alarm pattern.
    """
    names = [SoundName(label, label, "bundle") for label in labels]
    names += [SoundName(label, label, "taught") for label in taught]
    taken = {form for name in names for form in (name.label.casefold(), slug(name.label))}
    for name in classes:
        class_slug = slug(name)
        while class_slug in taken:
            class_slug = AUDIOSET_PREFIX + class_slug
        names.append(SoundName(name, class_slug, "audioset"))
    names += [SoundName(pattern, pattern, "pattern") for pattern in patterns]
    return tuple(names)
