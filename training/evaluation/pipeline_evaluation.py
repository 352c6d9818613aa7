"""Evaluation of a bundle through `device.pipeline`: gate, windows, network, thresholds and events together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from device.model.bundle import Bundle
from device.model.ensemble import Ensemble
from device.types import Event, Samples
from training.data.ambience import run_pipeline
from training.data.dataset import Clip, Dataset
from training.data.parallel import THREADS, Workers
from training.data.progress import progress
from training.evaluation.scenes import Scene, SceneConfig, draw_clips, fold_negatives, make_scene, read_fold_ambience

TOLERANCE_SECONDS = 2.0
"""Largest distance between an event's start and the clip, seconds."""
_CLASSIFIED_SECONDS = 1.0
"""Overlap of a window and a clip from which the clip counts as classified; half of the clip if it is shorter."""


@dataclass(frozen=True)
class PipelineResult:
    """Results of the scenes and the ambience of one fold.

    Attributes:
        classified: for each label and scene, whether a window over the clip reached the network.
        detected: for each label and scene, whether an event of the right label began at the clip.
        false_events: labels of the events that began in ambience alone.
        ambience_hours: duration of the ambience, hours.
    """

    on_window: Mapping[str, Sequence[bool]]
    detected: Mapping[str, Sequence[bool]]
    false_events: Sequence[str]
    ambience_hours: float


def play_scenes(
    bundle: Bundle, dataset: Dataset, fold: int, config: SceneConfig, seed: int, workers: Workers = THREADS
) -> PipelineResult | None:
    """Run the pipeline over clips of a fold in ambience of the fold, then over the ambience alone, at its own level.

    Args:
        bundle: bundle of a network that was trained without the fold.
        dataset: clips and negatives.
        fold: test fold.
        config: configuration of the scenes.
        seed: seed of their draw.
        workers: what the pipeline runs on.

    Returns:
        None if the fold has no ambience, because scenes need it.
    """
    rate = bundle.sample_rate
    negatives = fold_negatives(dataset, fold)
    ambience = read_fold_ambience(negatives, rate)
    if not ambience:
        return None
    clips = draw_clips(dataset, fold, config.clips_per_label, np.random.default_rng((seed, fold)))

    scenes = workers.map(partial(_scene_player, bundle, negatives, config, (seed, fold)), enumerate(clips))
    outcomes = list(progress(scenes, len(clips), "clips through the pipeline"))
    labels_by_recording = workers.map(partial(_false_event_finder, bundle), ambience)
    results = progress(labels_by_recording, len(ambience), "ambience through the pipeline")
    false_events = [label for labels in results for label in labels]
    by_label = {label: [n for n, clip in enumerate(clips) if clip.label == label] for label in dataset.labels}
    return PipelineResult(
        {label: [outcomes[n][0] for n in numbers] for label, numbers in by_label.items()},
        {label: [outcomes[n][1] for n in numbers] for label, numbers in by_label.items()},
        false_events,
        sum(map(len, ambience)) / rate / 3600,
    )


def pipeline_figures(results: Sequence[PipelineResult], labels: Sequence[str]) -> dict[str, Any]:
    """Compute the figures of one fold, or of several pooled.

    Returns:
        JSON; shares are 0 to 1, None without clips: `clips`, `gate_recall` and `recall` (means over clips), `per_label`
        of both, `false_events`, `false_events_per_hour`, `ambience_hours`.
    """
    on_window = {label: [hit for each in results for hit in each.on_window[label]] for label in labels}
    detected = {label: [hit for each in results for hit in each.detected[label]] for label in labels}
    false_events = [label for each in results for label in each.false_events]
    hours = sum(each.ambience_hours for each in results)
    return {
        "clips": sum(map(len, on_window.values())),
        "gate_recall": _share([hit for hits in on_window.values() for hit in hits]),
        "recall": _share([hit for hits in detected.values() for hit in hits]),
        "per_label": {
            label: {"gate_recall": _share(on_window[label]), "recall": _share(detected[label])} for label in labels
        },
        "false_events": {label: false_events.count(label) for label in sorted(set(false_events))},
        "false_events_per_hour": round(len(false_events) / hours, 2) if hours else None,
        "ambience_hours": round(hours, 3),
    }


def _scene_player(
    bundle: Bundle, negatives: tuple[tuple[int, Path], ...], config: SceneConfig, seed: tuple[int, int]
) -> Callable[[tuple[int, Clip]], tuple[bool, bool]]:
    """Return the function from a clip, with its number, to whether it was classified, and whether it was detected."""
    rate, ensemble = bundle.sample_rate, Ensemble(bundle)
    ambience = read_fold_ambience(negatives, rate)

    def play(numbered: tuple[int, Clip]) -> tuple[bool, bool]:
        number, clip = numbered
        scene = make_scene(clip, ambience, config, rate, np.random.default_rng((*seed, number)))
        events, windows = run_pipeline(scene.samples, bundle, ensemble.classify_live, ensemble.classify_look)
        return _score_scene(scene, events, [window.start + bundle.window_length for window in windows], bundle)

    return play


def _false_event_finder(bundle: Bundle) -> Callable[[Samples], list[str]]:
    """Return the function from ambience to the labels of the events that began in it."""
    ensemble = Ensemble(bundle)

    def find(samples: Samples) -> list[str]:
        events, _ = run_pipeline(samples, bundle, ensemble.classify_live, ensemble.classify_look)
        return [event.label for event in events if event.type == "start"]

    return find


def _score_scene(
    scene: Scene, events: Sequence[Event], window_ends: Sequence[int], bundle: Bundle
) -> tuple[bool, bool]:
    """Return whether the clip was classified (half of it, or a second), and whether it became an event of its label."""
    rate, length = bundle.sample_rate, bundle.window_length
    required = min((scene.end - scene.start) / 2, _CLASSIFIED_SECONDS * rate)
    overlaps = (min(end, scene.end) - max(end - length, scene.start) for end in window_ends)
    starts = scene.start / rate - TOLERANCE_SECONDS, scene.end / rate
    detected = any(
        event.type == "start"
        and event.label == scene.label
        and starts[0] <= event.start_time <= starts[1] + TOLERANCE_SECONDS
        for event in events
    )
    return any(part >= required for part in overlaps), detected


def _share(hits: Sequence[bool]) -> float | None:
    return round(sum(hits) / len(hits), 4) if hits else None
