"""Early-answer benchmark: time from the onset of a sound to its `start` at a subscriber, in real time.

    python benchmarks/early_answer.py --data urbansound8k --negatives esc10 --negatives ambience \
        --run runs/urbansound8k [--clips 10]

`--data`, `--negatives` and `--seed` must be those of the training. Dog barks, sirens, shots and horns of each test fold
are mixed into ambience of the fold at known times, as on the street of street.py, with pauses of 6 to 9 s. Two daemons
play the scene at the same time, in real time: one with `events.early_answer`, one without. Their broker is a mosquitto.
A sound is detected if an event of its label begins within 2 s of its onset. The delay ends when a subscriber has the
`start`. It begins when the first sample of the mixed clip is due; some clips begin with a moment of background.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from event_score import TOLERANCE_SECONDS, Sounds
from street import ABOVE_DB, AMBIENCE_DBFS, RATE, broker

from device.audio.files import read_samples
from device.config.models import MqttConfig
from device.mqtt.subscriber import Subscriber
from device.types import Samples
from device.util.samples import to_int16
from training.data.dataset import Dataset
from training.data.loading import load_dataset
from training.evaluation.scenes import draw_clips, fold_negatives, random_excerpt, read_fold_ambience, scale_to_level

LABELS = ("dog_bark", "siren", "gun_shot", "car_horn")
PAUSE_SECONDS = (6.0, 9.0)
"""Shortest and longest time between two sounds, s: no sound is in a window of another."""
LEAD_SECONDS = 15.0
"""Ambience before the first sound, s, in which the gate adapts to the place."""
SIDES = {"early": "true", "late": "false"}
"""Node of each daemon, with its `events.early_answer`."""


@dataclass(frozen=True)
class Start:
    """`start` message at the subscriber: its label, and both times in seconds since the scene began to play."""

    label: str
    onset: float
    arrival: float


def main() -> int:
    """Print the delays of each label, and the events that match no sound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="UrbanSound8K")
    parser.add_argument("--negatives", type=Path, action="append", required=True, help="negatives, as in training")
    parser.add_argument("--run", type=Path, required=True, help="--output of earshot-train, after `evaluate`")
    parser.add_argument("--folds", type=int, nargs="+", help="folds (default: all test folds)")
    parser.add_argument("--clips", type=int, default=10, help="largest number of clips of a label and fold")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training and of the scenes (default: 0)")
    options = parser.parse_args()
    dataset = load_dataset(options.data, options.negatives, options.seed)
    truth: list[tuple[Sounds, dict[str, list[Start]]]] = []
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as port:
        for fold in options.folds or dataset.evaluation_folds:
            scene, sounds = make_scene(dataset, fold, options.clips, np.random.default_rng((options.seed, fold)))
            path = Path(folder) / f"{fold}.wav"
            soundfile.write(path, scene, RATE)
            truth.append((sounds, play(path, options.run / "folds" / str(fold), port)))
            print(f"\nfold {fold}\n{table(truth[-1:])}", flush=True)
    print(f"\nall folds\n{table(truth)}")
    return 0


def make_scene(dataset: Dataset, fold: int, clips: int, rng: np.random.Generator) -> tuple[Samples, Sounds]:
    """Mix clips of a fold into its ambience; return the scene, and the label and onset of each sound."""
    drawn = [clip for clip in draw_clips(dataset, fold, clips, rng) if clip.label in LABELS]
    parts: Sounds = []
    position, signals = LEAD_SECONDS, []
    for number in rng.permutation(len(drawn)):
        signals.append(read_samples(drawn[number].path, RATE))
        parts.append((drawn[number].label, round(position * RATE) / RATE))
        position += len(signals[-1]) / RATE + rng.uniform(*PAUSE_SECONDS)
    ambience = read_fold_ambience(fold_negatives(dataset, fold), RATE)
    background = random_excerpt(ambience[rng.integers(len(ambience))], round(position * RATE), rng)
    mixed = scale_to_level(background, AMBIENCE_DBFS)
    for (_, onset), signal in zip(parts, signals, strict=True):
        start = round(onset * RATE)
        mixed[start : start + len(signal)] += scale_to_level(signal, AMBIENCE_DBFS + rng.uniform(*ABOVE_DB))
    return to_int16(mixed), parts


def play(path: Path, bundle: Path, port: int) -> dict[str, list[Start]]:
    """Play a scene to both daemons at the same time; return the `start` messages of each."""
    arrived: list[tuple[float, dict[str, Any]]] = []
    with (
        tempfile.TemporaryDirectory() as state,
        Subscriber(MqttConfig(host="127.0.0.1", port=port), None) as subscriber,
    ):
        daemons = {node: Daemon(node, path, bundle, port, Path(state) / node) for node in SIDES}

        def close_at_end() -> None:
            for daemon in daemons.values():
                daemon.follower.join()
            time.sleep(1.0)  # until the subscriber has received the last events
            subscriber.close()

        threading.Thread(target=close_at_end, daemon=True).start()
        for message in subscriber:
            if message["type"] == "start":
                arrived.append((time.time(), message))
    starts: dict[str, list[Start]] = {node: [] for node in SIDES}
    for at, message in arrived:
        began = daemons[message["node_id"]].began
        onset = datetime.fromisoformat(message["start_time"]).timestamp() - began["listens to"]
        starts[message["node_id"]].append(Start(message["label"], onset, at - began["plays"]))
    return starts


class Daemon:
    """Daemon that plays a file in real time.

    Attributes:
        began: times of its log lines, Unix seconds: at "listens to" its clock begins, at "plays" its sound.
        follower: thread that ends with the daemon.
    """

    def __init__(self, node: str, path: Path, bundle: Path, port: int, state: Path) -> None:
        state.mkdir()
        command = [sys.executable, "-m", "device", "run", "--input", str(path), "--speed", "realtime", "--exit-at-end"]
        command += ["--set", "mqtt.host=127.0.0.1", "--set", f"mqtt.port={port}", "--set", f"node_id={node}"]
        command += ["--set", f"model.bundle={bundle.resolve()}", "--set", f"events.early_answer={SIDES[node]}"]
        environment = {**os.environ, "STATE_DIRECTORY": str(state)}
        self._process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.began: dict[str, float] = {}
        self.follower = threading.Thread(target=self._follow, daemon=True)
        self.follower.start()

    def _follow(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            for words in ("listens to", "plays"):
                if f" {words} " in line:
                    self.began.setdefault(words, time.time())
            if not line.startswith("INFO"):
                sys.stderr.write(line)
        self._process.wait()


def delays(sounds: Sounds, starts: Sequence[Start]) -> list[tuple[str, float | None]]:
    """Return the label of each sound with the delay of its first `start`, s; None if it was not detected."""
    found: list[tuple[str, float | None]] = []
    for label, onset in sounds:
        arrivals = [
            start.arrival
            for start in starts
            if start.label == label and abs(start.onset - onset) <= TOLERANCE_SECONDS and start.arrival > onset
        ]
        found.append((label, min(arrivals) - onset if arrivals else None))
    return found


def table(scenes: Sequence[tuple[Sounds, dict[str, list[Start]]]]) -> str:
    """Format the delays of both daemons as text."""
    by_side = {node: [each for sounds, starts in scenes for each in delays(sounds, starts[node])] for node in SIDES}
    lines = [f"{'':<12}{'sounds':>7}" + "".join(f"{node + ': events':>15}{'median s':>10}" for node in SIDES)]
    for name, labels in [*((label, (label,)) for label in LABELS), ("together", LABELS)]:
        row = f"{name:<12}{sum(label in labels for label, _ in by_side['early']):>7}"
        for node in SIDES:
            times = [delay for label, delay in by_side[node] if label in labels and delay is not None]
            row += f"{len(times):>15}{statistics.median(times) if times else float('nan'):>10.2f}"
        lines.append(row)
    early = [delay for _, delay in by_side["early"] if delay is not None]
    lines.append(f"within 1.3 s: {sum(delay <= 1.3 for delay in early)} of {len(early)} events with early looks")
    for node in SIDES:
        matched = sum(delay is not None for _, delay in by_side[node])
        lines.append(f"{node}: {sum(len(starts[node]) for _, starts in scenes) - matched} events that match no sound")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
