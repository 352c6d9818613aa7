"""Vocabulary benchmark: precision and recall of AudioSet classes on ESC-50, as docs/vocabulary.md contains them.

    python benchmarks/vocabulary.py --bundle models/urbansound8k --data esc50 --data esc10

`--data` names folders with one folder of clips for each class of ESC-50; several are joined. A clip is classified as
`earshot classify` does it: the mean of the windows' probabilities. A class is detected from its threshold on. Recall is
the share of its folder's clips in which it is detected. Precision is the share of detections that lie in its folder;
all other folders count as other sounds, also those that contain the sound, such as a rooster among chirping birds.

The threshold of each class is chosen on folds 1 to 3 of ESC-50: the lowest with a precision of at least 95 % there. All
figures are those of folds 4 and 5. ESC-50's folds share no recording; the fold is the first number of a file's name.

The network's AudioSet answers were trained on AudioSet, and not on ESC-50. A class with a folder in ESC-50 and without
a class among AudioSet's 527, such as the washing machine, is absent here.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio.files import read_samples
from device.model.clip_scoring import classify_clip
from device.service.runtime import open_bundle

THRESHOLDS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Thresholds to choose from."""
LEAST_PRECISION = 0.95
"""Precision that the chosen threshold has on the folds that choose it."""
CHOOSING, JUDGING = (1, 2, 3), (4, 5)
"""Folds of ESC-50 that choose the thresholds, and folds that judge them."""


CLASSES = {
    "Glass": "glass_breaking",
    "Baby cry, infant cry": "crying_baby",
    "Knock": "door_wood_knock",
    "Alarm clock": "clock_alarm",
    "Toilet flush": "toilet_flush",
    "Snoring": "snoring",
    "Cough": "coughing",
    "Laughter": "laughing",
    "Crowing, cock-a-doodle-doo": "rooster",
    "Cat": "cat",
    "Thunderstorm": "thunderstorm",
    "Vacuum cleaner": "vacuum_cleaner",
    "Church bell": "church_bells",
    "Helicopter": "helicopter",
    "Chainsaw": "chainsaw",
    "Fireworks": "fireworks",
    "Sawing": "hand_saw",
}
"""AudioSet class (display name) -> folder of the same sound in ESC-50."""
ESC50_NAMES = {"baby_cry": "crying_baby"}
"""Folders of ESC-10 with another name than in ESC-50."""


@dataclass(frozen=True)
class Clips:
    """Answers for the clips of one folder.

    Attributes:
        folds: shape (clips,), fold of each clip.
        probabilities: shape (clips, 527), of AudioSet's classes.
    """

    folds: NDArray[np.int_]
    probabilities: NDArray[np.float32]

    def count(self, folds: Sequence[int], number: int = 0, threshold: float = 0.0) -> int:
        """Count the clips of some folds in which a class has at least a threshold."""
        return int((np.isin(self.folds, folds) & (self.probabilities[:, number] >= threshold)).sum())


def main() -> int:
    """Print the table as Markdown; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("models/urbansound8k"), help="with the AudioSet network")
    parser.add_argument("--data", type=Path, action="append", required=True, help="folders of ESC-50's classes")
    parser.add_argument("--scores", type=Path, help="file (.npz) for the probabilities; read instead, if it exists")
    options = parser.parse_args()
    bundle, _ = open_bundle(options.bundle)
    if bundle.audioset_classes is None:
        print(f"{bundle} has no AudioSet network. Choose another with --bundle", file=sys.stderr)
        return 2
    answers = read_answers(options.scores, options.bundle, options.data)
    clips = sum(len(clips.folds) for clips in answers.values())
    print(f"{bundle}, {clips} clips of {len(answers)} folders\n")
    print("\n".join(table(answers, bundle.audioset_classes)))
    return 0


def read_answers(path: Path | None, bundle: Path, data: Sequence[Path]) -> dict[str, Clips]:
    """Return the clips of each folder, from a file if it exists; else classify them, and write the file."""
    if path is not None and path.exists():
        with np.load(path) as file:
            return {name: Clips(file[f"{name}/folds"], file[name]) for name in file if "/" not in name}
    answers = classify_folders(bundle, data)
    if path is not None:
        arrays = {name: clips.probabilities for name, clips in answers.items()}
        np.savez_compressed(path, **arrays, **{f"{name}/folds": clips.folds for name, clips in answers.items()})
    return answers


def classify_folders(bundle_path: Path, data: Sequence[Path]) -> dict[str, Clips]:
    """Classify the clips of all folders."""
    bundle, ensemble = open_bundle(bundle_path)
    rows: dict[str, list[tuple[int, NDArray[np.float32]]]] = defaultdict(list)
    for path in sorted(path for folder in data for path in folder.glob("*/*") if path.suffix in {".ogg", ".wav"}):
        samples = read_samples(path, bundle.sample_rate)
        _, audioset = classify_clip(samples, bundle.window_length, ensemble.classify_clip)
        assert audioset is not None
        rows[ESC50_NAMES.get(path.parent.name, path.parent.name)].append((int(path.name.split("-")[0]), audioset))
    return {
        folder: Clips(np.array([fold for fold, _ in clips]), np.stack([answer for _, answer in clips]))
        for folder, clips in rows.items()
    }


def table(answers: Mapping[str, Clips], classes: Sequence[str]) -> list[str]:
    """Return the lines of the Markdown table."""
    lines = [
        "| AudioSet class | threshold | folder of ESC-50 | clips | recall | precision | recall at 0.5 | confused |"
    ]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, folder in CLASSES.items():
        clips = answers[folder].count(JUDGING) if folder in answers else 0
        if not clips:
            continue
        number = classes.index(name)
        threshold = choose_threshold(answers, folder, number)
        detected = {each: answers[each].count(JUDGING, number, threshold) for each in answers}
        strict = answers[folder].count(JUDGING, number, 0.5)
        others = sorted((each for each in detected if each != folder), key=lambda each: -detected[each])
        confused = ", ".join(f"{each} {detected[each]}" for each in others[:3] if detected[each]) or "-"
        lines.append(
            f"| {name} | {threshold:g} | {folder} | {clips} | {percent(detected[folder], clips)} "
            f"| {percent(detected[folder], sum(detected.values()))} | {percent(strict, clips)} | {confused} |"
        )
    return lines


def choose_threshold(answers: Mapping[str, Clips], folder: str, number: int) -> float:
    """Return the lowest threshold with `LEAST_PRECISION` on the choosing folds; the highest of all if none has it."""
    for threshold in THRESHOLDS:
        right = answers[folder].count(CHOOSING, number, threshold)
        total = sum(clips.count(CHOOSING, number, threshold) for clips in answers.values())
        if total and right / total >= LEAST_PRECISION:
            return threshold
    return THRESHOLDS[-1]


def percent(part: int, whole: int) -> str:
    """Format a share; `-` of nothing."""
    return f"{100 * part / whole:.0f} %" if whole else "-"


if __name__ == "__main__":
    sys.exit(main())
