"""Street benchmark: event score of the whole daemon over a real broker, compared with YAMNet.

    python benchmarks/street.py --data urbansound8k --negatives esc10 --negatives ambience \
        --run runs/urbansound8k --yamnet yamnet.tflite

`--data`, `--negatives` and `--seed` must be those of the training. Each test fold has a street scene of 20 minutes: its
foreground clips at intervals of 8 to 16 s, with evenly drawn labels, 12 to 25 dB (RMS) above the fold's ambience. The
ambience has -45 dBFS, and changes to another recording every minute or two. The bundle of the fold, from `evaluate`,
was trained on none of these clips and recordings. The scene is the input of `earshot run --speed max`, and a subscriber
collects the events. event_score.py describes the score.

False events are events of the same daemon on the fold's ambience alone, at its original level. YAMNet has the
threshold, in steps of 0.01, with the best F1 on this scene, an advantage over Earshot. Its second row has the best
threshold with at most 12 false events an hour.
"""

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import soundfile
import yamnet
from event_score import Counts, Sounds, count_matches, table

from device.audio.files import read_samples
from device.config.models import MqttConfig
from device.mqtt.subscriber import Subscriber
from device.types import Samples
from device.util.samples import to_int16
from training.data.dataset import Dataset
from training.data.loading import load_dataset
from training.evaluation.scenes import draw_clips, fold_negatives, random_excerpt, read_fold_ambience, scale_to_level

RATE = 16000
GAP_SECONDS = (8.0, 16.0)
"""Shortest and longest time between two sounds, s."""
ABOVE_DB = (12.0, 25.0)
"""Lowest and highest level of a sound above the ambience, dB."""
AMBIENCE_DBFS = -45.0
CROSSFADE_SECONDS = 1.0


def main() -> int:
    """Print a table for each fold, and one for all folds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="UrbanSound8K")
    parser.add_argument("--negatives", type=Path, action="append", required=True, help="negatives, as in training")
    parser.add_argument("--run", type=Path, required=True, help="--output of earshot-train, after `evaluate`")
    parser.add_argument("--yamnet", type=Path, required=True, help="yamnet.tflite, its class map beside it")
    parser.add_argument("--folds", type=int, nargs="+", help="folds (default: all test folds)")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0, help="seed of the training and of the scenes (default: 0)")
    parser.add_argument("--set", action="append", default=[], help="setting of the daemon, as of `earshot run`")
    parser.add_argument("--keep", type=Path, help="folder in which the scenes are kept as sound files")
    options = parser.parse_args()
    dataset = load_dataset(options.data, options.negatives, options.seed)
    folds = options.folds or dataset.evaluation_folds
    earshot, by_threshold = [], []
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as port:
        for fold in folds:
            rng = np.random.default_rng((options.seed, fold))
            ambience = read_fold_ambience(fold_negatives(dataset, fold), RATE)
            street, truth = make_street(dataset, fold, ambience, options.minutes * 60, rng)
            alone = np.concatenate(ambience)
            scenes = options.keep or Path(folder)
            bundle = options.run / "folds" / str(fold)
            events = run_daemon(street, scenes / f"street-{fold}.wav", bundle, port, options.set)
            false = run_daemon(alone, scenes / f"ambience-{fold}.wav", bundle, port, options.set)
            earshot.append(
                Counts(count_matches(truth, events), len(truth), len(events), len(false), len(alone) / RATE / 3600)
            )
            by_threshold.append(score_yamnet(options.yamnet, street, truth, alone))
            print(table(f"fold {fold}", earshot[-1], by_threshold[-1]), flush=True)
    print(
        table(
            "all folds",
            sum(earshot[1:], earshot[0]),
            [sum(each[1:], each[0]) for each in zip(*by_threshold, strict=True)],
        )
    )
    return 0


def make_street(
    dataset: Dataset, fold: int, ambience: Sequence[Samples], seconds: float, rng: np.random.Generator
) -> tuple[Samples, Sounds]:
    """Mix a fold's clips into its ambience; return the street scene, and the label and onset of each sound."""
    fade = round(CROSSFADE_SECONDS * RATE)
    share = round(seconds * RATE / len(ambience))
    signal = np.zeros(share * len(ambience) + fade, np.float32)
    # Equal power: the level is constant during the crossfade.
    ramp = np.sin(np.linspace(0.0, np.pi / 2, fade, dtype=np.float32))
    for number, recording in enumerate(ambience[each] for each in rng.permutation(len(ambience))):
        place = scale_to_level(random_excerpt(recording, share + fade, rng), AMBIENCE_DBFS)
        place[:fade] *= ramp
        place[-fade:] *= ramp[::-1]
        signal[number * share : (number + 1) * share + fade] += place
    waiting = {
        label: [clip for clip in draw_clips(dataset, fold, sys.maxsize, rng) if clip.label == label]
        for label in dataset.labels
    }
    truth: Sounds = []
    position = rng.uniform(*GAP_SECONDS)
    while any(waiting.values()):
        label = rng.choice([label for label, clips in waiting.items() if clips])
        sound = read_samples(waiting[label].pop(rng.integers(len(waiting[label]))).path, RATE)
        start = round(position * RATE)
        if start + len(sound) > len(signal):
            break
        signal[start : start + len(sound)] += scale_to_level(sound, AMBIENCE_DBFS + rng.uniform(*ABOVE_DB))
        truth.append((str(label), position))
        position += len(sound) / RATE + rng.uniform(*GAP_SECONDS)
    return to_int16(signal), truth


def score_yamnet(model: Path, street: Samples, truth: Sounds, alone: Samples) -> list[Counts]:
    """Return the counts of YAMNet at each threshold."""
    on_street, on_ambience = yamnet.label_scores(street, model), yamnet.label_scores(alone, model)
    counts = []
    for threshold in np.arange(0.01, 1.0, 0.01):
        events, false = yamnet.events(on_street, threshold), yamnet.events(on_ambience, threshold)
        counts.append(
            Counts(count_matches(truth, events), len(truth), len(events), len(false), len(alone) / RATE / 3600)
        )
    return counts


def run_daemon(samples: Samples, path: Path, bundle: Path, port: int, settings: Sequence[str]) -> Sounds:
    """Run the daemon on samples; return the label and onset of each event that a subscriber receives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE)
    command = [sys.executable, "-m", "device", "run", "--input", str(path), "--speed", "max", "--exit-at-end"]
    command += ["--set", "mqtt.host=127.0.0.1", "--set", f"mqtt.port={port}", "--set", "node_id=street"]
    for setting in (f"model.bundle={bundle.resolve()}", *settings):
        command += ["--set", setting]
    with (
        tempfile.TemporaryDirectory() as state,
        Subscriber(MqttConfig(host="127.0.0.1", port=port), None) as subscriber,
    ):
        daemon = subprocess.Popen(
            command, env={**os.environ, "STATE_DIRECTORY": state}, stderr=subprocess.PIPE, text=True
        )
        began: list[float] = []  # the clock of a recording starts with the log line "listens to"

        def follow() -> None:
            assert daemon.stderr
            for line in daemon.stderr:
                if " listens to " in line:
                    began.append(time.time())
                elif not line.startswith("INFO"):
                    sys.stderr.write(line)
            daemon.wait()
            time.sleep(1.0)  # until the subscriber has received the last events
            subscriber.close()

        threading.Thread(target=follow, daemon=True).start()
        started = [message for message in subscriber if message["type"] == "start"]
    if daemon.returncode:
        sys.exit(f"street: the daemon ended with {daemon.returncode}")
    onsets = [datetime.fromisoformat(message["start_time"]).timestamp() - began[0] for message in started]
    return [(message["label"], onset) for message, onset in zip(started, onsets, strict=True)]


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[int]:
    """Run a mosquitto on loopback, and yield its port."""
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        sys.exit("street: mosquitto is not installed. Install it: apt-get install mosquitto")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
    process = subprocess.Popen([program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and not accepts_connections(port):
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


def accepts_connections(port: int) -> bool:
    """Return whether a process listens on a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())
