"""Last test of finished bundles: fold 5 of ESC-50, of which no network has seen a clip.

    python benchmarks/last_test.py --data esc50 --data esc10 [--bundle models/urbansound8k]...

Run it once for each bundle that ships. A result that changes a bundle makes this fold a test fold like the others.
Clips are classified as `earshot classify` does it. The labels that ESC-50 shares with the bundle are judged by their
recall; all other clips count as other sounds, and are judged by the share that is `unknown`.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

from device.model.bundle import Bundle, load_bundle
from device.model.scoring import Scorer
from device.types import UNKNOWN
from training.data.dataset import Clip
from training.data.training_clips import held_out_esc50
from training.evaluation.metrics import classify_files


def main() -> int:
    """Print a table for each bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, action="append", required=True, metavar="DIR", help="folder of ESC-50; can be repeated")
    add("--bundle", type=Path, action="append", metavar="DIR", help="bundle; can be repeated")
    options = parser.parse_args()
    for folder in options.bundle or [Path("models/urbansound8k"), Path("models/urbansound8k-light")]:
        bundle = load_bundle(folder)
        results = judge(bundle, held_out_esc50(options.data, bundle.labels))
        labelled = [result for label in bundle.labels for result in results[label]]
        print(f"{bundle.manifest.name}@{bundle.manifest.version}")
        for label, correct in sorted(results.items()):
            if not correct:
                continue
            print(f"  {label:18}{len(correct):5} clips{sum(correct) / len(correct):8.1%}")
        print(f"  {'all labels':18}{len(labelled):5} clips{sum(labelled) / max(len(labelled), 1):8.1%}", flush=True)
    return 0


def judge(bundle: Bundle, clips: list[Clip]) -> dict[str, list[bool]]:
    """Return whether each clip is classified correctly, by label or `unknown`."""
    scorer = Scorer(bundle.manifest)
    results: dict[str, list[bool]] = defaultdict(list, {UNKNOWN: []})
    for clip, scores in zip(clips, classify_files(clips, bundle), strict=True):
        results[clip.label].append(scorer.decide(scores) == clip.label)
    return results


if __name__ == "__main__":
    sys.exit(main())
