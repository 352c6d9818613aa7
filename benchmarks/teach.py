"""Benchmark of teaching: five sounds of ESC-50, taught from five clips each, on recordings that taught nothing.

    python benchmarks/teach.py --data esc50 --data esc10 --ambience ambience [--retrain WEIGHTS --negatives DIR]

`--data` names folders with one folder of clips for each class of ESC-50. Five recordings of folds 1 to 3 teach a label;
the clips of folds 4 and 5 judge it, by the rule of `earshot classify`. ESC-50's folds share no recording. False alarms
are counted among the clips of all other classes. Clips over ambience, 15 dB below them, and ambience alone go through
the pipeline of the daemon, with gate, windows and event tracker, and count as events. Ambience whose recordings are
among the shipped negatives (`blanket-*`) is left out.

With `--retrain`, `earshot-train retrain` trains a bundle on the same clips with the AudioSet network's weights and two
augmented copies of each clip, as a user would on a workstation; it is judged on the same clips.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from commands import classify, retrain

from device.audio.files import read_samples
from device.config.models import Config
from device.errors import InputError
from device.model.bundle import Bundle
from device.model.clip_scoring import clip_windows
from device.model.ensemble import Ensemble
from device.model.taught import TaughtSounds
from device.pipeline import Pipeline
from device.service.runtime import open_bundle
from device.teaching.embedder import Embedder
from device.teaching.library import ClipFile, TaughtLibrary
from device.types import Samples
from training.data.ambience import blocks_of

TEACHING, JUDGING = (1, 2, 3), (4, 5)
"""Folds of ESC-50 that teach, and folds that judge."""
CHOSEN_ON = ["train", "mouse_click", "door_wood_knock", "drinking_sipping", "can_opening"]
"""Half of the classes on which the method was chosen."""
REPORTED = ["coughing", "vacuum_cleaner", "cow", "insects", "snoring"]
"""Classes that were drawn before the first experiment, and chose nothing."""
LABELLED = {"dog_bark", "car_horn", "siren", "engine_idling"}
"""Classes of ESC-50 that are labels of the bundle."""
SIGNAL_TO_NOISE_DB = 15.0


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--ambience", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, default=Path("models/urbansound8k"))
    parser.add_argument("--classes", nargs="+", default=REPORTED)
    parser.add_argument("--clips", type=int, default=5, help="teaching clips of a label (default: 5)")
    parser.add_argument("--seeds", type=int, default=3, help="draws of teaching clips (default: 3)")
    parser.add_argument("--retrain", type=Path, metavar="WEIGHTS", help="weights of the AudioSet network, as npz")
    parser.add_argument("--negatives", type=Path, action="append", default=[], help="for --retrain")
    options = parser.parse_args()
    clips = sorted(path for folder in options.data for path in folder.glob("*/*.ogg"))
    bundle, ensemble = open_bundle(options.bundle)
    embedder = Embedder(bundle, ensemble.networks[bundle.manifest.scoring.order[0]])
    judged = [path for path in clips if fold(path) in JUDGING and path.parent.name not in LABELLED]
    embeddings = {path: embedder.embed(windows(path, bundle)).astype(np.float32) for path in judged}
    for seed in range(options.seeds):
        drawn = {name: draw(clips, name, seed, options.clips) for name in options.classes}
        judge(bundle, ensemble, drawn, embeddings, options.ambience if seed == 0 else None)
        if options.retrain is not None and seed == 0:
            compare_retrained(drawn, judged, options.retrain, options.negatives)
    return 0


def judge(
    bundle: Bundle,
    ensemble: Ensemble,
    drawn: dict[str, list[Path]],
    embeddings: dict[Path, np.ndarray],
    ambience: Path | None,
) -> None:
    """Teach the labels, and print recall and false alarms; with ambience, also those of the pipeline."""
    with tempfile.TemporaryDirectory() as state:
        library = TaughtLibrary(Path(state), bundle)
        for name, paths in drawn.items():
            started = time.monotonic()
            try:
                sound = library.teach(name, [ClipFile(path, path.name) for path in paths])
                print(
                    f"{name}: {time.monotonic() - started:.1f} s, left out {sound.figures.recognized} of {len(paths)}"
                )
            except InputError as error:
                print(error)
        taught = library.detectors()
    events = {path: taught.probabilities(list(rows)) for path, rows in embeddings.items()}
    detected = {path: {name for name, p in each.items() if p >= 0.5} for path, each in events.items()}
    places = [path for path in sorted(ambience.glob("*.ogg")) if "blanket" not in path.name] if ambience else []
    for name in taught.labels:
        own = [path for path in embeddings if path.parent.name == name]
        others = [path for path in embeddings if path.parent.name != name]
        line = f"{name}: clips {share(name in detected[path] for path in own)}, others "
        line += share(name in detected[path] for path in others)
        if places:
            scenes = [name in live_events(bundle, ensemble, taught, scene(path, places)) for path in own]
            line += f", over ambience {share(scenes)}"
        print(line, flush=True)
    if places:
        sounds = [read_samples(path, bundle.sample_rate) for path in places]
        hours = sum(map(len, sounds)) / bundle.sample_rate / 3600
        counts = [name for samples in sounds for name in live_events(bundle, ensemble, taught, samples)]
        for name in taught.labels:
            print(f"{name}: {counts.count(name)} events in {60 * hours:.0f} minutes of ambience")


def live_events(bundle: Bundle, ensemble: Ensemble, taught: TaughtSounds, samples: Samples) -> list[str]:
    """Return the taught labels of the events of a recording, as the daemon detects them."""
    pipeline = Pipeline(Config(), bundle, ensemble.classify_live, taught=taught)
    events = pipeline.run(blocks_of(samples, bundle.sample_rate))
    return [event.label for event in events if event.type == "start" and event.vocabulary == "taught"]


def scene(path: Path, places: Sequence[Path], rate: int = 16000) -> Samples:
    """Return a clip in ambience that depends on its name: 4 s before it, 2 s after it."""
    clip = read_samples(path, rate).astype(np.float64)
    draw_place = random.Random(path.name)
    place = read_samples(draw_place.choice(places), rate).astype(np.float64)
    length = len(clip) + 6 * rate
    start = draw_place.randrange(max(1, len(place) - length))
    background = np.resize(place[start:], length)
    frames = clip[: len(clip) // 480 * 480].reshape(-1, 480).std(axis=1)
    loud = np.sort(frames)[-max(1, len(frames) // 4) :].mean()
    background *= loud * 10 ** (-SIGNAL_TO_NOISE_DB / 20) / max(background.std(), 1.0)
    background[4 * rate : 4 * rate + len(clip)] += clip
    return np.clip(background, -32768, 32767).astype(np.int16)


def draw(clips: Sequence[Path], name: str, seed: int, count: int) -> list[Path]:
    """Draw one clip each of `count` recordings of a class, from the folds that teach."""
    recordings: dict[str, Path] = {}
    for path in clips:
        if path.parent.name == name and fold(path) in TEACHING:
            recordings.setdefault(path.stem.split("-")[1], path)
    names = sorted(recordings)
    random.Random(seed).shuffle(names)
    return [recordings[each] for each in names[:count]]


def compare_retrained(
    drawn: dict[str, list[Path]], judged: Sequence[Path], weights: Path, negatives: Sequence[Path]
) -> None:
    """Train a bundle on the drawn clips, and print its time, recall and false alarms."""
    with tempfile.TemporaryDirectory() as folder:
        for name, paths in drawn.items():
            target = Path(folder, "data", name)
            target.mkdir(parents=True)
            for path in paths:
                (target / path.name).symlink_to(path.absolute())
        run = Path(folder, "run")
        options: list[str | Path] = ["--networks", "audioset", "--audioset-weights", weights, "--copies", "2"]
        options += [word for path in negatives for word in ("--negatives", path)]
        print(f"retrain: {retrain(Path(folder, 'data'), run, *options):.0f} s")
        labels = classify(judged, run / "bundle")
    for name in drawn:
        own = share(label == name for path, label in labels.items() if path.parent.name == name)
        others = share(label == name for path, label in labels.items() if path.parent.name != name)
        print(f"{name}: retrained: clips {own}, others {others}")


def windows(path: Path, bundle: Bundle) -> np.ndarray:
    """Return the windows of a clip."""
    return clip_windows(read_samples(path, bundle.sample_rate), bundle.window_length)


def fold(path: Path) -> int:
    """Return the fold of a clip of ESC-50."""
    return int(path.name.split("-")[0])


def share(values: Iterator[bool] | Sequence[bool]) -> str:
    """Format the share of true values."""
    found = list(values)
    return f"{sum(found)} of {len(found)} ({100 * sum(found) / max(len(found), 1):.1f} %)"


if __name__ == "__main__":
    sys.exit(main())
