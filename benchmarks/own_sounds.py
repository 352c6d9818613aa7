"""How long a user's own sounds take to train, and how well they are told apart afterwards.

    python benchmarks/own_sounds.py --sounds esc10 --weights FILE [--classes clock_tick rain rooster]

Thirty clips of each class go to `earshot-train retrain`, as a user would call it; the rest, of recordings that none of
the thirty is of, to `earshot classify` with the bundle that came out.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from training.data.class_folders import recording_name
from training.data.dataset import sound_files

CLIPS = 30


def main() -> int:
    """Print minutes and shares of clips right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=Path, required=True, help="a folder a class, more than 30 clips in each")
    parser.add_argument("--weights", required=True, help="as for earshot-train")
    parser.add_argument("--classes", nargs="+", default=["clock_tick", "rain", "rooster"])
    parser.add_argument("--seed", type=int, default=0, help="of the draw of the thirty (0)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder, "my_sounds"), Path(folder, "run")
        held_out: dict[str, list[Path]] = {}
        for label in options.classes:
            (data / label).mkdir(parents=True)
            taken, held_out[label] = draw(options.sounds / label, options.seed)
            for path in taken:
                shutil.copy(path, data / label)
        began = time.monotonic()
        command = [sys.executable, "-m", "training.cli.main", "retrain", "--data", data, "--output", run]
        subprocess.run([*command, "--weights", options.weights], check=True)
        minutes = (time.monotonic() - began) / 60
        mean = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["mean"]["int8"]
        right = [named == label for label, files in held_out.items() for named in classify(files, run / "bundle")]
    print(f"\nretrain: {minutes:.1f} minutes; {mean:.1%} of its own clips right, each fold left out in turn (int8)")
    print(f"bundle: {sum(right) / len(right):.1%} of {len(right)} held-out clips right (earshot classify)")
    return 0


def draw(folder: Path, seed: int) -> tuple[list[Path], list[Path]]:
    """Thirty clips, or somewhat fewer, of recordings drawn with the seed; and the clips of the other recordings."""
    by_recording: dict[str, list[Path]] = {}
    for path in sound_files(folder):
        by_recording.setdefault(recording_name(path, folder), []).append(path)
    names = sorted(by_recording)
    random.Random(seed).shuffle(names)
    taken: list[Path] = []
    held_out: list[Path] = []
    for name in names:
        (taken if len(taken) + len(by_recording[name]) <= CLIPS else held_out).extend(by_recording[name])
    return taken, held_out


def classify(files: list[Path], bundle: Path) -> list[str]:
    """What `earshot classify` says of files."""
    command = [sys.executable, "-m", "device", "classify", "--json", "--bundle", bundle, *files]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line)["label"] for line in lines]


if __name__ == "__main__":
    sys.exit(main())
