"""Commands that benchmarks of own sounds run as a user would: `earshot-train retrain` and `earshot classify`."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

Argument = str | Path


def retrain(data: Path, run: Path, *options: Argument) -> float:
    """Train a bundle in `run`/bundle on a folder of sounds; return the time that it took, s."""
    started = time.monotonic()
    command = [sys.executable, "-m", "training.cli.main", "retrain", "--data", data, "--output", run]
    subprocess.run([*command, *options], check=True)
    return time.monotonic() - started


def classify(files: Sequence[Path], bundle: Path) -> dict[Path, str]:
    """Return the label that `earshot classify` prints for each file."""
    command = [sys.executable, "-m", "device", "classify", "--json", "--bundle", bundle, *files]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {Path(line["file"]): line["label"] for line in map(json.loads, lines)}
