"""Gate benchmark: recall on clips and share of rest in ambience, compared with webrtcvad alone.

    python benchmarks/gate.py [--data ../shared/data] [--folds 1 10 3] [--most 60] [--db 10]

Recall: foreground clips of UrbanSound8K are mixed into quiet ambience, `--db` above it (RMS over the clip). 20 s of
ambience precede the clip. A clip counts if the gate is open at any time while it sounds.
Rest: the share of time with a shut gate over a whole recording of ambience, after its first 10 s.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from figures import Figure, Result, Skipped, make_parser, note, publish
from peers import SHARED

from device.audio.files import read_samples
from device.config.models import GateConfig
from device.detection.gate import SoundGate
from device.types import Span

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
STRICT, MILD = "webrtcvad alone, strictest mode", "webrtcvad alone, mildest mode"


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


def missed_clips(options: argparse.Namespace) -> Iterator[Figure]:
    """Print the recall of each label, and yield the share of clips that no gate opened for."""
    rng = np.random.default_rng(0)
    beds = [read_samples(options.data / "ambience" / f"{name}.ogg", RATE) for name in BEDS]
    missed, clips = dict.fromkeys(GATES, 0), 0
    note(f"{'recall, clips ' + format(options.db, '+.0f') + ' dB':<28}" + "".join(f"{name:>10}" for name in GATES))
    for name, paths in foreground(options.data / "urbansound8k", options.folds, options.most).items():
        detected = dict.fromkeys(GATES, 0)
        for number, path in enumerate(paths):
            clip = read_samples(path, RATE)
            bed = beds[number % len(beds)]
            length = LEAD_SECONDS * RATE + len(clip)
            start = rng.integers(0, max(1, len(bed) - length))
            mix = scaled(np.resize(bed[start:], length), QUIET_DBFS)
            mix[-len(clip) :] += scaled(clip, QUIET_DBFS + options.db)
            samples = np.clip(np.rint(mix), -32768, 32767).astype(np.int16)
            for gate, config in GATES.items():
                detected[gate] += any(span.end > LEAD_SECONDS * RATE for span in spans(samples, config))
        note(f"{name} ({len(paths)})".ljust(28) + "".join(f"{detected[gate] / len(paths):>10.1%}" for gate in GATES))
        clips += len(paths)
        missed = {gate: count + len(paths) - detected[gate] for gate, count in missed.items()}
    shares = {gate: count / clips * 100 for gate, count in missed.items()}
    yield Figure(f"gate: {clips} clips missed", shares["earshot"], "%", shares["vad 3"], STRICT)


def open_time(options: argparse.Namespace) -> Iterator[Figure]:
    """Print the rest of each gate, and yield the share of time with an open gate in each ambience."""
    note(f"\n{'shut on steady ambience':<28}" + "".join(f"{name:>10}" for name in GATES))
    for name in STEADY:
        samples = scaled(read_samples(options.data / "ambience" / f"{name}.ogg", RATE), -40.0).astype(np.int16)
        opened = {}
        for gate, config in GATES.items():
            settled = [span for span in spans(samples, config) if span.end > 10 * RATE]
            seconds = sum(span.end - max(span.start, 10 * RATE) for span in settled)
            opened[gate] = seconds / (len(samples) - 10 * RATE) * 100
        note(f"{name:<28}" + "".join(f"{100 - share:>9.1f}%" for share in opened.values()))
        yield Figure(f"gate: open in {name}", opened["earshot"], "% of the time", opened["vad 0"], MILD)


def measure(options: argparse.Namespace) -> Iterator[Result]:
    """Yield what the gate misses, and the time that it is open."""
    if not (options.data / "ambience").is_dir():
        yield Skipped(
            "gate", f"no folder {options.data / 'ambience'}. Set --data to one with urbansound8k/ and ambience/"
        )
        return
    yield from missed_clips(options)
    yield from open_time(options)


def main() -> None:
    """Measure, and print one table for recall and one for rest."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, default=SHARED / "data")
    parser.add_argument("--folds", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--most", type=int, default=60, help="largest number of clips a class (default: 60)")
    parser.add_argument("--db", type=float, default=10.0, help="level of the clip above the ambience (default: 10)")
    options = parser.parse_args()
    publish(measure(options), as_json=options.json)


if __name__ == "__main__":
    main()
