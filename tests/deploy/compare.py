"""Judges an installation by what it said: compare.py CHECK HERE THERE, files of `earshot check` and `classify --json`.

Exit code 1 where something but microphone and speed is at fault, or where a recording has another label there than
here, or scores that rounding does not explain.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROUNDING = 0.02
"""Where a sum of products falls just beside a step of int8 on another CPU, the logit moves by that step: so much."""

EXPECTED = {"microphone", "speed"}
"""Faults of the place: there is no microphone, and qemu takes seconds for a window."""


def main(check: Path, here: Path, there: Path) -> int:
    """Print what differs; gives the exit code."""
    findings = read(check)
    for finding in findings:
        if finding["state"] != "ok":
            print(f"  {finding['state']}: {finding['check']}: {finding['message']}")
    labels_agree, furthest = True, 0.0
    for mine, other in zip(read(here), read(there), strict=True):
        difference = max(abs(score - other["scores"][label]) for label, score in mine["scores"].items())
        print(f"  {Path(mine['file']).stem}: {other['label']}, here {mine['label']}; scores differ by {difference:.4f}")
        labels_agree, furthest = labels_agree and mine["label"] == other["label"], max(furthest, difference)
    faults = {finding["check"] for finding in findings if finding["state"] == "fault"}
    return 0 if faults <= EXPECTED and labels_agree and furthest <= ROUNDING else 1


def read(file: Path) -> list[dict[str, Any]]:
    """The objects of a file, one a line."""
    return [json.loads(line) for line in file.read_text().splitlines()]


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
