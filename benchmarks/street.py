"""Twenty minutes of street, heard by the whole daemon over a real broker, beside YAMNet.

    python benchmarks/street.py --data urbansound8k --negatives esc10 --negatives ambience \
        --run runs/urbansound8k --yamnet yamnet.tflite

`--data`, `--negatives` and `--seed` are those that the run was trained with. For each fold, the street is made of the
fold's foreground clips, 8 to 16 s from one to the next, of labels drawn evenly, 12 to 25 dB (RMS) above the fold's
ambience, which lies at -45 dBFS and changes its place every minute or two; the fold's bundle (`evaluate` left it)
knows neither clips nor ambience. It is played to `earshot run --speed max`, and a
subscriber to mosquitto collects the events. How they are scored is told in event_score.py.

False events are those on the fold's ambience alone, at its own level, played to the same daemon. YAMNet gets the
threshold, in steps of 0.01, that is best on this very street, which Earshot does not; and, for its second row, the best
of those that stay within 12 false events an hour.
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
from event_score import Side, Sounds, matches, table

from device.audio.files import read_samples
from device.config.models import MqttConfig
from device.mqtt.subscriber import Subscriber
from device.types import Samples, to_int16
from training.data.dataset import Dataset
from training.data.loading import load_dataset
from training.evaluation.scenes import draw_clips, random_excerpt, read_ambience, scale_to_level

RATE = 16000
GAP_SECONDS = (8.0, 16.0)
ABOVE_DB = (12.0, 25.0)
AMBIENCE_DBFS = -45.0
CROSSFADE_SECONDS = 1.0


def main() -> int:
    """Print a table for each fold, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="UrbanSound8K")
    parser.add_argument("--negatives", type=Path, action="append", required=True, help="as in training")
    parser.add_argument("--run", type=Path, required=True, help="--output of earshot-train, after `evaluate`")
    parser.add_argument("--yamnet", type=Path, required=True, help="yamnet.tflite, its class map beside it")
    parser.add_argument("--folds", type=int, nargs="+", help="(default: all that are judged)")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0, help="that of training, and of the street (0)")
    parser.add_argument("--keep", type=Path, help="folder to keep the streets in, to listen to")
    options = parser.parse_args()
    dataset = load_dataset(options.data, options.negatives, options.seed)
    folds = options.folds or dataset.evaluation_folds
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as port:
        for fold in folds:
            rng = np.random.default_rng((options.seed, fold))
            ambience = read_ambience(dataset, fold, RATE)
            street, truth = make_street(dataset, fold, ambience, options.minutes * 60, rng)
            alone = np.concatenate(ambience)
            played = options.keep or Path(folder)
            bundle = options.run / "folds" / str(fold)
            events = run_daemon(street, played / f"street-{fold}.wav", bundle, port)
            false = run_daemon(alone, played / f"ambience-{fold}.wav", bundle, port)
            ours.append(Side(matches(truth, events), len(truth), len(events), len(false), len(alone) / RATE / 3600))
            theirs.append(try_yamnet(options.yamnet, street, truth, alone))
            print(table(f"fold {fold}", ours[-1], theirs[-1]), flush=True)
    print(table("all folds", sum(ours[1:], ours[0]), [sum(each[1:], each[0]) for each in zip(*theirs, strict=True)]))
    return 0


def make_street(
    dataset: Dataset, fold: int, ambience: Sequence[Samples], seconds: float, rng: np.random.Generator
) -> tuple[Samples, Sounds]:
    """A street of a fold's clips in its ambience, and what sounds in it when."""
    fade = round(CROSSFADE_SECONDS * RATE)
    share = round(seconds * RATE / len(ambience))
    signal = np.zeros(share * len(ambience) + fade, np.float32)
    ramp = np.sin(np.linspace(0.0, np.pi / 2, fade, dtype=np.float32))  # equal power: the level stays as places change
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


def try_yamnet(model: Path, street: Samples, truth: Sounds, alone: Samples) -> list[Side]:
    """YAMNet at each threshold of the grid."""
    on_street, on_ambience = yamnet.label_scores(street, model), yamnet.label_scores(alone, model)
    sides = []
    for threshold in np.arange(0.01, 1.0, 0.01):
        events, false = yamnet.events(on_street, threshold), yamnet.events(on_ambience, threshold)
        sides.append(Side(matches(truth, events), len(truth), len(events), len(false), len(alone) / RATE / 3600))
    return sides


def run_daemon(samples: Samples, path: Path, bundle: Path, port: int) -> Sounds:
    """Play samples to `earshot run` and collect what a subscriber receives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE)
    command = [sys.executable, "-m", "device", "run", "--input", str(path), "--speed", "max", "--exit-at-end"]
    command += ["--set", "mqtt.host=127.0.0.1", "--set", f"mqtt.port={port}", "--set", "node_id=street"]
    command += ["--set", f"model.bundle={bundle.resolve()}"]
    with tempfile.TemporaryDirectory() as state, Subscriber(MqttConfig(host="127.0.0.1", port=port), None) as heard:
        daemon = subprocess.Popen(
            command, env={**os.environ, "STATE_DIRECTORY": state}, stderr=subprocess.PIPE, text=True
        )
        began: list[float] = []  # a recording's clock starts when the daemon says that it listens

        def follow() -> None:
            assert daemon.stderr
            for line in daemon.stderr:
                if " listens to " in line:
                    began.append(time.time())
                elif not line.startswith("INFO"):
                    sys.stderr.write(line)
            daemon.wait()
            time.sleep(1.0)  # the broker has all events; the last are on their way to the subscriber
            heard.close()

        threading.Thread(target=follow, daemon=True).start()
        started = [message for message in heard if message["type"] == "start"]
    if daemon.returncode:
        sys.exit(f"street: the daemon ended with {daemon.returncode}")
    onsets = [datetime.fromisoformat(message["start_time"]).timestamp() - began[0] for message in started]
    return [(message["label"], onset) for message, onset in zip(started, onsets, strict=True)]


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[int]:
    """A mosquitto on loopback; gives its port."""
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
        while process.poll() is None and not answers(port):
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


def answers(port: int) -> bool:
    """Whether something listens on a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())
