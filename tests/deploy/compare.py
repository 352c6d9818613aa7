"""Comparison of an installation with this machine: compare.py CHECK HERE THERE, from `check` and `classify`.

Exit code 1 if anything except microphone and speed is at fault, if a recording has another label there than here, or if
its scores differ by more than rounding.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROUNDING = 0.02
"""Largest difference of a score: if a sum rounds to the next int8 step on another CPU, the logit moves by that step."""

EXPECTED = {"microphone", "speed"}
"""Faults of the test environment: no microphone is present, and qemu takes seconds for a window."""


def main(check: Path, here: Path, there: Path) -> int:
    """Print the differences and return the exit code."""
    findings = read(check)
    for finding in findings:
        if finding["state"] != "ok":
            print(f"  {finding['state']}: {finding['check']}: {finding['message']}")
    labels_agree, largest = True, 0.0
    for mine, other in zip(read(here), read(there), strict=True):
        difference = max(abs(score - other["scores"][label]) for label, score in mine["scores"].items())
        print(f"  {Path(mine['file']).stem}: {other['label']}, here {mine['label']}; scores differ by {difference:.4f}")
        labels_agree, largest = labels_agree and mine["label"] == other["label"], max(largest, difference)
    faults = {finding["check"] for finding in findings if finding["state"] == "fault"}
    return 0 if faults <= EXPECTED and labels_agree and largest <= ROUNDING else 1


def read(file: Path) -> list[dict[str, Any]]:
    """Read the JSON objects of a file, one on each line."""
    return [json.loads(line) for line in file.read_text().splitlines()]


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
