"""Quiet-path benchmark: CPU time of listening in a quiet room and of a window, beside YAMNet; start-up and memory.

    python benchmarks/quiet_path.py [--yamnet ../shared/peers/yamnet.tflite] [--bundle models/urbansound8k]

The quiet path is all that the daemon's main thread does with the sound of a microphone at 48 kHz, without a probe.
YAMNet is computed on every 0.975 s. All works run in turn in one process without pauses, so their caches are warm. The
daemon is then started on the demo's recording, without a broker.
"""

import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from checkout import ROOT
from figures import Figure, Result, Skipped, cpu_seconds_in_turn, make_parser, publish
from peers import YAMNET, YAMNET_SECONDS, runtimes, yamnet_work
from processes import resident_mb, running_daemon

from device.cli.bench_work import loud_windows, quiet_sound, quiet_work
from device.config.models import Config
from device.service.runtime import open_bundle

SECONDS = 20
"""Length of the quiet sound, s."""
QUIET_GOALS = {"ai-edge-litert": 1.0, "tflite-runtime": 0.1}
"""Most that a second of quiet sound may cost, as a share of YAMNet's cost in each runtime."""
STARTS = 3
WINDOWS_SECONDS = 12.0
"""Time from the start until the daemon has classified windows of the demo, s."""


def measure_work(bundle_path: Path, yamnet: Path) -> Iterator[Result]:
    """Yield the costs of a quiet second and of windows, each beside YAMNet in each runtime."""
    bundle, ensemble = open_bundle(bundle_path)
    windows, reads = loud_windows(bundle), quiet_sound(SECONDS)
    works = {"quiet": partial(quiet_work(Config(), bundle, ensemble), reads)}
    for name, network in ensemble.networks.items():
        works[f"{name}: log-mel of a window"] = partial(next, map(network.log_mel, windows))
        works[f"{name}: inference of a window"] = partial(network.outputs, network.log_mel(next(windows)))
    works["a window by all networks"] = partial(next, map(ensemble.classify_by_all, windows))
    peers = runtimes() if yamnet.is_file() else {}
    works |= {f"YAMNet in {name}": yamnet_work(yamnet, module) for name, module in peers.items()}
    milliseconds = {name: seconds * 1e3 for name, seconds in cpu_seconds_in_turn(works).items()}
    quiet = milliseconds.pop("quiet") / SECONDS
    yamnets = {name: milliseconds.pop(f"YAMNet in {name}") for name in peers}
    for runtime, value in yamnets.items():
        peer = value / YAMNET_SECONDS, f"YAMNet in {runtime}, each second"
        yield Figure("quiet path, a second", quiet, "ms of CPU", *peer, QUIET_GOALS[runtime])
    if not yamnets:
        yield Figure("quiet path, a second", quiet, "ms of CPU")
        yield Skipped("quiet path beside YAMNet", f"no file {yamnet}")
    for name, value in milliseconds.items():
        runtime, peer = next(iter(yamnets.items()), ("", None))
        yield Figure(name, value, "ms of CPU", peer, f"YAMNet in {runtime}, its window of 0.975 s" if peer else "")


def measure_daemon(bundle: Path) -> Iterator[Result]:
    """Yield the time until READY=1, and the memory of the daemon that has classified windows."""
    arguments = ["--input", str(ROOT / "deploy" / "demo" / "street.flac"), "--set", "mqtt.port=1"]
    arguments += ["--set", f"model.bundle={bundle}"]
    ready, cpu = [], []
    for number in range(STARTS):
        with running_daemon(arguments) as daemon:
            ready.append(daemon.ready_seconds)
            cpu.append(daemon.ready_cpu_seconds)
            if number == STARTS - 1:
                time.sleep(WINDOWS_SECONDS)
                memory = resident_mb(daemon.pid)
    yield Figure(f"start until READY, {bundle.name}", statistics.median(ready), "s", goal=0.7)
    yield Figure(f"CPU time until READY, {bundle.name}", statistics.median(cpu), "s")
    yield Figure(f"memory of the daemon, a file, {bundle.name}", memory, "MB", goal=110.0)


def main() -> None:
    """Measure, and print the results."""
    parser = make_parser(__doc__)
    parser.add_argument("--yamnet", type=Path, default=YAMNET)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "urbansound8k")
    options = parser.parse_args()
    publish(measure_work(options.bundle, options.yamnet), as_json=options.json)
    publish(measure_daemon(options.bundle), as_json=options.json)


if __name__ == "__main__":
    main()
