"""`earshot labels`: the bundle's labels with their thresholds, and AudioSet's classes."""

import argparse
import difflib
from dataclasses import dataclass

from device.cli.output import print_json
from device.config.loader import load_config
from device.config.models import Config
from device.detection.event_tracker import EventTracker
from device.errors import EXIT_DONE, InputError
from device.model.bundle import Bundle, load_bundle
from device.model.scoring import Scorer
from device.service.runtime import check_labels
from device.util.text import quoted


@dataclass(frozen=True)
class _Name:
    """Name of a sound.

    Attributes:
        label: the label, or AudioSet's display name.
        vocabulary: `bundle` for a label, `audioset` for a class.
        threshold: confidence from which it becomes an event, 0 to 1; None if it becomes none.
    """

    label: str
    vocabulary: str
    threshold: float | None


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each name; return the exit code.

    Raises:
        InputError: no name contains the searched text.
    """
    config = load_config(arguments.config, overrides=arguments.set)
    bundle = load_bundle(config.model.bundle)
    check_labels(config, bundle)
    names = _names(config, bundle)
    if arguments.search is not None:
        names = _search(names, arguments.search)
    for name in names:
        if arguments.json:
            print_json({"label": name.label, "vocabulary": name.vocabulary, "threshold": name.threshold})
        elif name.threshold is None:
            print(f"{name.label} (AudioSet class, no event)")
        else:
            print(f"{name.label} (label, event from {name.threshold:g})")
    return EXIT_DONE


def _names(config: Config, bundle: Bundle) -> list[_Name]:
    tracker = EventTracker(
        config.events,
        bundle_thresholds={label: part.threshold for label, part in bundle.manifest.thresholds.items()},
        scorer=Scorer(bundle.manifest),
        sample_rate=bundle.sample_rate,
    )
    labels = [_Name(label, "bundle", threshold) for label, threshold in tracker.thresholds.items()]
    return labels + [_Name(name, "audioset", None) for name in bundle.audioset_classes or ()]


def _search(names: list[_Name], text: str) -> list[_Name]:
    """Return the names that contain a text, in any case.

    Raises:
        InputError: there is none. The message contains the most similar names.
    """
    wanted = text.casefold().replace("_", " ")
    found = [name for name in names if wanted in name.label.casefold().replace("_", " ")]
    if found:
        return found
    # A display name lists synonyms, as in "Smoke detector, smoke alarm": each of them can be meant.
    terms: dict[str, str] = {}
    for name in names:
        for term in (name.label, *name.label.split(", ")):
            terms.setdefault(term.casefold().replace("_", " "), name.label)
    similar = dict.fromkeys(terms[term] for term in difflib.get_close_matches(wanted, terms, n=3))
    cure = f"Did you mean {' or '.join(map(repr, similar))}?" if similar else "Run `earshot labels` for all names"
    raise InputError(f"labels --search {quoted(text)}: no label and no AudioSet class contains it. {cure}")
