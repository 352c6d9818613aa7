"""Configured names: all that can become events by config, bundle and lessons, with thresholds and vocabularies."""

from collections.abc import Mapping

from device.config.models import EventsConfig
from device.detection.vocabulary import (
    EARLY_MARGIN,
    EARLY_MARGIN_ALONE,
    AudioSetVocabulary,
    LabelVocabulary,
    TaughtVocabulary,
    Vocabulary,
)
from device.model.bundle import Bundle
from device.model.scoring import Scorer
from device.model.sound_names import sound_names
from device.model.taught import NOTHING_TAUGHT, TaughtSounds
from device.types import SoundName


def label_thresholds(config: EventsConfig, defaults: Mapping[str, float]) -> dict[str, float]:
    """Return the threshold of each label: its own of the config, else the general one of the config, else the bundle's.

    Args:
        config: thresholds of the user.
        defaults: the bundle's threshold of each label.
    """
    return {label: _first_set(config.thresholds.get(label), config.threshold, defaults[label]) for label in defaults}


def event_names(config: EventsConfig, bundle: Bundle, taught: TaughtSounds = NOTHING_TAUGHT) -> tuple[SoundName, ...]:
    """Return all names that can become events: labels, taught labels, AudioSet classes, then alarm patterns."""
    return sound_names(bundle.labels, config.audioset, config.alarm_patterns, taught=taught.labels)


def pattern_thresholds(config: EventsConfig) -> dict[SoundName, float]:
    """Return the agreement from which each alarm pattern of the config becomes an event, see `AlarmEvents`."""
    names = sound_names((), (), config.alarm_patterns)
    return dict(zip(names, config.alarm_patterns.values(), strict=True))


def make_vocabularies(
    config: EventsConfig, bundle: Bundle, taught: TaughtSounds = NOTHING_TAUGHT
) -> tuple[Vocabulary, ...]:
    """Make the vocabularies of a bundle. `check_labels` has checked the names of the config.

    Args:
        config: thresholds, and the AudioSet classes.
        bundle: labels with their thresholds, and the rules for live scores and `unknown`.
        taught: detectors of taught labels.
    """
    defaults = {label: bundle.manifest.thresholds[label].threshold for label in bundle.labels}
    early_margin = EARLY_MARGIN if len(bundle.manifest.networks) > 1 else EARLY_MARGIN_ALONE
    labels = LabelVocabulary(Scorer(bundle.manifest), label_thresholds(config, defaults), early_margin)
    vocabularies: list[Vocabulary] = [labels]
    if taught.labels:
        vocabularies.append(TaughtVocabulary(taught))
    if classes := [name for name in event_names(config, bundle, taught) if name.vocabulary == "audioset"]:
        audioset = {name: config.audioset[name.label] for name in classes}
        vocabularies.append(AudioSetVocabulary(audioset, bundle.audioset_classes or ()))
    return tuple(vocabularies)


def _first_set(*values: float | None) -> float:
    return next(value for value in values if value is not None)
