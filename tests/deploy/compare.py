"""Comparison of two machines: compare.py CHECK HERE THERE.

CHECK is the output of `earshot check --json` on the other machine; HERE and THERE are outputs of
`earshot classify --json` on both machines. Exit code 1 if another check than microphone or speed has a fault, if a
label differs, or if scores differ by more than rounding.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROUNDING = 0.02
"""Largest difference of a score by rounding: on another CPU a logit may differ by one step of int8."""

EXPECTED = {"microphone", "speed"}
"""Faults of the test machine: it has no microphone, and qemu takes seconds for a window."""


def main(check: Path, here: Path, there: Path) -> int:
    """Print the faults and the differences, and return the exit code."""
    results = read(check)
    for result in results:
        if result["state"] != "ok":
            print(f"  {result['state']}: {result['check']}: {result['message']}")
    labels_agree, largest = True, 0.0
    for local, remote in zip(read(here), read(there), strict=True):
        difference = max(abs(score - remote["scores"][label]) for label, score in local["scores"].items())
        print(
            f"  {Path(local['file']).stem}: {remote['label']}, here {local['label']}; scores differ by {difference:.4f}"
        )
        labels_agree, largest = labels_agree and local["label"] == remote["label"], max(largest, difference)
    faults = {result["check"] for result in results if result["state"] == "fault"}
    return 0 if faults <= EXPECTED and labels_agree and largest <= ROUNDING else 1


def read(file: Path) -> list[dict[str, Any]]:
    """Read the JSON objects of a file, one a line."""
    return [json.loads(line) for line in file.read_text().splitlines()]


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
