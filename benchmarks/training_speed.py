"""Training speed benchmark: feature extraction on threads of one process and on two dask workers, windows a second.

    python benchmarks/training_speed.py --data DIR (--audioset-weights FILE | --log-mels-only) [--clips N]

DIR has one folder of sound files for each class. The features are those of `earshot-train prepare`: log-mels and
Inception, and the AudioSet network, each with one augmented copy. Each round computes them on both, in turn, into a new
cache, and then reads them from it. Before the first round, both have loaded TensorFlow and the networks. All results
must have the same bytes.
"""

import argparse
import hashlib
import json
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from checkout import ROOT
from distributed import LocalCluster

from training.data.array_cache import Cache
from training.data.dask_workers import DaskWorkers, connect
from training.data.dataset import Dataset
from training.data.loading import load_dataset
from training.data.parallel import THREADS, Workers
from training.data.spectrograms import SpectrogramConfig
from training.data.windows import WindowCutter
from training.fitting.audioset_features import AudioSetConfig, AudioSetFeatures
from training.fitting.fine_tuning import FineTuneConfig
from training.fitting.head_trainer import HeadConfig
from training.models.backbone import BackboneConfig
from training.workflow.inception_kind import InceptionKind

RATE = 16000


def few_clips(dataset: Dataset, count: int) -> Dataset:
    """Return a dataset with `count` clips, evenly from all classes and folds."""
    numbers = np.linspace(0, len(dataset.clips) - 1, min(count, len(dataset.clips))).astype(int)
    return replace(dataset, clips=tuple(dataset.clips[number] for number in numbers))


def extract(dataset: Dataset, options: argparse.Namespace, folder: Path, workers: Workers) -> tuple[int, str]:
    """Extract the features of both networks; return the number of windows, and the digest of all bytes."""
    cache, seed = Cache(folder), 0
    backbone, spectrograms = BackboneConfig(options.weights), SpectrogramConfig(copies=1)
    inception = InceptionKind(dataset, spectrograms, backbone, HeadConfig(), FineTuneConfig(), cache, workers)
    audioset = AudioSetConfig(options.audioset_weights)
    cutter = WindowCutter(dataset, RATE, audioset.features.window_length, audioset.augment, seed, workers)
    if options.log_mels_only:
        log_mels = [part.quantized for part in inception.parts]
        return sum(map(len, log_mels)), hashlib.sha256(b"".join(part.tobytes() for part in log_mels)).hexdigest()
    parts = [inception.features(None).features(part, "Inception features") for part in inception.parts]
    parts.append(AudioSetFeatures(audioset, cutter, (0, 1), cache).examples.features)
    return sum(map(len, parts)), hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def cpu_seconds(dask: DaskWorkers) -> float:
    """Return the CPU time of this process and of all workers, s: other programs disturb it less than wall time."""
    return time.process_time() + sum(dask.run_everywhere(time.process_time).values())


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--audioset-weights", type=Path, help="needed without --log-mels-only")
    parser.add_argument("--weights", default=str(ROOT / "models" / "backbone.npz"))
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--log-mels-only", action="store_true", help="decoding, cutting and log-mels; no network")
    parser.add_argument("--scheduler", help="running dask workers (default: starts two, of one thread each)")
    options = parser.parse_args()
    dataset = few_clips(load_dataset(options.data), options.clips)
    rates: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    digests = set()
    with ExitStack() as stack:
        name, address = stack.enter_context(tempfile.TemporaryDirectory()), options.scheduler
        if address is None:
            cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0")
            address = stack.enter_context(cluster).scheduler_address
        dask = stack.enter_context(connect(address))
        sides = {"threads of one process": THREADS, "two dask workers": dask}
        for side, workers in sides.items():  # load the networks
            extract(few_clips(dataset, 4), options, Path(name) / f"first {side}", workers)
        for number in range(options.rounds):
            for side, workers in sides.items():
                for state in ("computed", "cached"):
                    started, used = time.perf_counter(), cpu_seconds(dask)
                    windows, digest = extract(dataset, options, Path(name) / f"{number} {side}", workers)
                    rates.setdefault(f"{side}, {state}", []).append(windows / (time.perf_counter() - started))
                    seconds.setdefault(f"{side}, {state}", []).append((cpu_seconds(dask) - used) / windows * 1e3)
                    digests.add(digest)
    assert len(digests) == 1, "the features differ"
    medians = {side: round(statistics.median(each), 1) for side, each in rates.items()}
    cpu = {side: round(statistics.median(each), 1) for side, each in seconds.items()}
    all_rates = {side: [round(rate, 1) for rate in each] for side, each in rates.items()}
    figures = {"windows": windows, "load_average": os.getloadavg()[0], "identical": True}
    print(json.dumps({**figures, "windows_per_second": medians, "rounds": all_rates, "cpu_ms_per_window": cpu}))


if __name__ == "__main__":
    main()
