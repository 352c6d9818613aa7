"""`earshot labels`: labels, taught ones, AudioSet's classes and alarm patterns, with the thresholds of events."""

import argparse
from dataclasses import dataclass
from typing import get_args

from device.cli.output import print_json, print_note
from device.config.detection import AlarmPattern
from device.config.loader import load_config
from device.config.models import Config
from device.config.paths import readable_state
from device.detection.configured_names import make_vocabularies
from device.errors import EXIT_DONE, InputError
from device.model.bundle import Bundle, load_bundle
from device.model.taught import TAUGHT_THRESHOLD, TaughtSounds
from device.service.runtime import check_labels
from device.teaching.library import open_taught
from device.types import VocabularyName
from device.util.text import plain_term, quoted, similar_names

_KINDS: dict[VocabularyName, str] = {
    "bundle": "label",
    "taught": "taught label",
    "audioset": "AudioSet class",
    "pattern": "alarm pattern",
}


@dataclass(frozen=True)
class _Name:
    """Name of a sound.

    Attributes:
        label: the label, or AudioSet's display name.
        vocabulary: `bundle` for a label, `taught` for a taught one, `audioset` for a class, `pattern` for an alarm
            pattern.
        threshold: confidence from which it becomes an event, 0 to 1; None if it becomes none.
    """

    label: str
    vocabulary: VocabularyName
    threshold: float | None


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each name; return the exit code.

    Raises:
        InputError: no name contains the searched text.
    """
    config = load_config(arguments.config, overrides=arguments.set)
    bundle = load_bundle(config.model.bundle)
    taught = open_taught(readable_state(), bundle)
    check_labels(config, bundle, taught)
    names = _names(config, bundle, taught)
    if arguments.search is not None:
        names = _search(names, arguments.search)
    for name in names:
        if arguments.json:
            print_json({"label": name.label, "vocabulary": name.vocabulary, "threshold": name.threshold})
        else:
            kind = _KINDS[name.vocabulary]
            effect = "no event" if name.threshold is None else f"event from {name.threshold:g}"
            print(f"{name.label} ({kind}, {effect})")
    for fault in taught.faults:
        print_note(fault)
    return EXIT_DONE


def _names(config: Config, bundle: Bundle, taught: TaughtSounds) -> list[_Name]:
    labels, *_ = make_vocabularies(config.events, bundle)
    names = [_Name(name.label, "bundle", threshold) for name, threshold in labels.thresholds.items()]
    names += [_Name(label, "taught", TAUGHT_THRESHOLD) for label in taught.labels]
    thresholds = config.events.audioset
    names += [_Name(name, "audioset", thresholds.get(name)) for name in bundle.audioset_classes or ()]
    patterns: tuple[AlarmPattern, ...] = get_args(AlarmPattern)
    return names + [_Name(name, "pattern", config.events.alarm_patterns.get(name)) for name in patterns]


def _search(names: list[_Name], text: str) -> list[_Name]:
    """Return the names that contain a text, in any case.

    Raises:
        InputError: there is none. The message contains the most similar names.
    """
    found = [name for name in names if plain_term(text) in plain_term(name.label)]
    if found:
        return found
    similar = similar_names(text, (name.label for name in names))
    cure = f"Did you mean {' or '.join(map(repr, similar))}?" if similar else "Run `earshot labels` for all names"
    raise InputError(f"labels --search {quoted(text)}: no label and no AudioSet class contains it. {cure}")
