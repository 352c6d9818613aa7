"""Gate benchmark: recall on clips and share of rest in ambience, compared with webrtcvad alone.

    python benchmarks/gate.py [--data ../shared/data] [--folds 1 10 3] [--most 60] [--db 10]

Recall: foreground clips of UrbanSound8K are mixed into quiet ambience, `--db` above it (RMS over the clip). 20 s of
ambience precede the clip. A clip counts if the gate is open at any time while it sounds.
Rest: the share of time with a shut gate over a whole recording of ambience, after its first 10 s.
"""

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from device.audio.files import read_samples
from device.config.models import GateConfig
from device.detection.gate import SoundGate
from device.types import Span

ROOT = Path(__file__).resolve().parent.parent
RATE = 16000
BLOCK = 480
LEAD_SECONDS = 20
QUIET_DBFS = -50.0
BEDS = ("moodist-office", "moodist-library", "blanket-summer-night")
STEADY = ("moodist-office", "moodist-library", "moodist-rain-on-window", "moodist-rain-on-tent", "moodist-heavy-rain")
GATES = {
    "earshot": GateConfig(),
    "no vad": GateConfig(vad_mode=None),
    "vad 0": GateConfig(vad_mode=0, vad_blocks=4, vad_window_blocks=6, level=False, probe_seconds=None),
    "vad 3": GateConfig(vad_mode=3, vad_blocks=4, vad_window_blocks=6, level=False, probe_seconds=None),
}


def spans(samples: np.ndarray, config: GateConfig) -> list[Span]:
    """Return the spans in which the gate is open, for samples (n,), int16."""
    gate = SoundGate(config, RATE)
    closed = []
    for position in range(0, len(samples) - BLOCK + 1, BLOCK):
        span = gate.update(samples[position : position + BLOCK], position)
        if span is not None and not span.is_open:
            closed.append(span)
    last = gate.close()
    return closed + ([last] if last else [])


def scaled(samples: np.ndarray, dbfs: float) -> np.ndarray:
    """Scale samples (n,) to an RMS level, dBFS; the result is float64."""
    rms = np.sqrt(np.mean(samples.astype(float) ** 2)) / 32768
    return samples * (10 ** (dbfs / 20) / max(rms, 1e-6))


def foreground(data: Path, folds: Iterable[int], maximum: int) -> dict[str, list[Path]]:
    """Return foreground clips by class, at most `maximum` of each class, spread over the recordings."""
    clips = defaultdict(list)
    with (data / "metadata" / "UrbanSound8K.csv").open() as table:
        for row in csv.DictReader(table):
            path = data / "audio" / f"fold{row['fold']}" / f"{Path(row['slice_file_name']).stem}.ogg"
            if int(row["fold"]) in folds and row["salience"] == "1" and path.is_file():
                clips[row["class"]].append(path)
    return {name: paths[:: max(1, len(paths) // maximum)][:maximum] for name, paths in sorted(clips.items())}


def main() -> None:
    """Measure and print one table for recall and one for rest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--folds", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--most", type=int, default=60, help="largest number of clips a class (default: 60)")
    parser.add_argument("--db", type=float, default=10.0, help="level of the clip above the ambience (default: 10)")
    arguments = parser.parse_args()
    ambience = arguments.data / "ambience"
    if not ambience.is_dir():
        sys.exit(f"{ambience}: no such folder. Set --data to a folder with urbansound8k/ and ambience/")
    rng = np.random.default_rng(0)
    beds = [read_samples(ambience / f"{name}.ogg", RATE) for name in BEDS]
    print(f"{'recall, clips ' + format(arguments.db, '+.0f') + ' dB':<28}" + "".join(f"{name:>10}" for name in GATES))
    for name, paths in foreground(arguments.data / "urbansound8k", arguments.folds, arguments.most).items():
        detected = dict.fromkeys(GATES, 0)
        for number, path in enumerate(paths):
            clip = read_samples(path, RATE)
            bed = beds[number % len(beds)]
            length = LEAD_SECONDS * RATE + len(clip)
            start = rng.integers(0, max(1, len(bed) - length))
            mix = scaled(np.resize(bed[start:], length), QUIET_DBFS)
            mix[-len(clip) :] += scaled(clip, QUIET_DBFS + arguments.db)
            samples = np.clip(np.rint(mix), -32768, 32767).astype(np.int16)
            for gate, config in GATES.items():
                detected[gate] += any(span.end > LEAD_SECONDS * RATE for span in spans(samples, config))
        print(f"{name} ({len(paths)})".ljust(28) + "".join(f"{detected[gate] / len(paths):>10.1%}" for gate in GATES))
    print(f"\n{'shut on steady ambience':<28}" + "".join(f"{name:>10}" for name in GATES))
    for name in STEADY:
        samples = scaled(read_samples(ambience / f"{name}.ogg", RATE), -40.0).astype(np.int16)
        shut = []
        for config in GATES.values():
            settled = [span for span in spans(samples, config) if span.end > 10 * RATE]
            opened = sum(span.end - max(span.start, 10 * RATE) for span in settled)
            shut.append(1 - opened / (len(samples) - 10 * RATE))
        print(f"{name:<28}" + "".join(f"{share:>10.1%}" for share in shut))


if __name__ == "__main__":
    main()
