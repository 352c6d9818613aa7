"""Benchmark of own sounds: training time and accuracy of a bundle trained on a user's own clips.

    python benchmarks/own_sounds.py --sounds esc10 --weights FILE [--classes clock_tick rain rooster]

`earshot-train retrain` is called with thirty clips of each class, as a user would. `earshot classify` then labels the
clips of all other recordings with the new bundle.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from commands import classify, retrain

from training.data.class_folders import recording_name
from training.data.dataset import sound_files

CLIPS = 30
"""Largest number of training clips a class."""


def main() -> int:
    """Print the training time and the shares of right labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sounds", type=Path, required=True, help="folder with one folder a class, each with more than 30 clips"
    )
    parser.add_argument("--weights", required=True, help="weights of the backbone, as for earshot-train")
    parser.add_argument("--classes", nargs="+", default=["clock_tick", "rain", "rooster"])
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw of clips (default: 0)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder, "my_sounds"), Path(folder, "run")
        held_out: dict[str, list[Path]] = {}
        for label in options.classes:
            (data / label).mkdir(parents=True)
            drawn, held_out[label] = draw(options.sounds / label, options.seed)
            for path in drawn:
                shutil.copy(path, data / label)
        minutes = retrain(data, run, "--networks", "inception", "--weights", options.weights) / 60
        mean = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["mean"]["int8"]
        is_right = [
            result == label for label, files in held_out.items() for result in classify(files, run / "bundle").values()
        ]
    print(f"\nretrain: {minutes:.1f} minutes; {mean:.1%} of its own clips right, each fold left out in turn (int8)")
    print(f"bundle: {sum(is_right) / len(is_right):.1%} of {len(is_right)} held-out clips right (earshot classify)")
    return 0


def draw(folder: Path, seed: int) -> tuple[list[Path], list[Path]]:
    """Draw recordings with at most 30 clips in total; return their clips, and the clips of all other recordings."""
    by_recording: dict[str, list[Path]] = {}
    for path in sound_files(folder):
        by_recording.setdefault(recording_name(path, folder), []).append(path)
    names = sorted(by_recording)
    random.Random(seed).shuffle(names)
    drawn: list[Path] = []
    held_out: list[Path] = []
    for name in names:
        (drawn if len(drawn) + len(by_recording[name]) <= CLIPS else held_out).extend(by_recording[name])
    return drawn, held_out


if __name__ == "__main__":
    sys.exit(main())
