"""Busy-second benchmark: CPU time of each part of the real daemon while a sound lasts, in ms for a second of sound.

    python benchmarks/busy_second.py [--bundle DIR] [--sound busy|quiet] [--seconds 30] [--folder CHECKOUT]

Microphone, broker and sounds are those of whole_daemon.py. The daemon runs twice: as it is, for the CPU time of its
threads, and with a timer around each part, on the CPU clock of its thread. The time of a part excludes the parts
within it. The timers themselves take about a fifth of the time of the parts that are called for each block.
"""

import argparse
import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SETTLING_SECONDS = 25.0
"""Time after the start that is not measured, s."""
PARTS = {
    "pipe to chunks": ["device.audio.capture_process:CaptureProcess.read"],
    "samples to float, mono": ["device.audio.block_stream:to_float"],
    "resampler": ["device.audio.resampling:Resampler.feed"],
    "blocks": ["device.audio.resampling:BlockSplitter.feed", "device.audio.block_stream:BlockStream.feed"],
    "signal diagnosis": ["device.audio.signal_diagnosis:SignalDiagnosis.feed"],
    "source, monitor of the source": [
        "device.audio.captured_source:CapturedSource.__iter__",
        "device.monitoring.source_monitor:SourceMonitor.__iter__",
    ],
    "sound level": ["device.level.monitor:LevelMonitor._take"],
    "ring buffer": ["device.audio.ring_buffer:RingBuffer.write", "device.audio.ring_buffer:RingBuffer.read"],
    "noise floor": ["device.detection.noise_floor:NoiseFloor." + name for name in ("add", "compare", "rise_db")],
    "spectra of the noise floor": ["device.detection.noise_floor:NoiseFloor._band_levels_db"],
    "gate, with webrtcvad": [
        "device.detection.gate:SoundGate.update",
        "device.detection.gate:SoundGate.update_while_shut",
    ],
    "observers": ["device.service.observers:Observers.on_block", "device.service.observers:Observers.on_window"],
    "windows": ["device.detection.windowing:Windower.update"],
    "alarm patterns, envelope": ["device.detection.tone_envelope:ToneEnvelope.feed"],
    "alarm patterns, search": ["device.detection.alarm_pattern:CadenceDetector.search"],
    "alarm patterns, rest": ["device.detection.alarm_events:AlarmEvents.update"],
    "log-mel, AudioSet network": [
        "device.model.manifest_network:audioset_log_mel",
        "device.model.audioset_features:AudioSetLogMel.__call__",
    ],
    "log-mel, Inception": ["device.model.manifest_network:log_mel"],
    "networks": ["device.model.classifier:infer"],
    "scores and picture": [
        "device.model.ensemble:Ensemble.classify_live",
        "device.model.ensemble:Ensemble.classify_look",
    ],
    "loudest block": ["device.pipeline:loudest_dbfs"],
    "event tracker": ["device.detection.event_tracker:EventTracker.update"],
    "pipeline": ["device.pipeline:Pipeline._judge", "device.pipeline:Pipeline._advance"],
}
"""Functions of each part, as module:path. Those that a checkout lacks are left out."""


class PartTimer:
    """CPU time and calls of parts that contain one another, on any thread."""

    def __init__(self) -> None:
        self.nanoseconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._thread = threading.local()

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function with a timer; of a generator, each step is timed."""

        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            self.calls[name] += 1
            result = self._time(name, function, *arguments, **options)
            return self._steps(name, result) if hasattr(result, "__next__") else result

        return timed

    def _steps(self, name: str, iterator: Iterator[Any]) -> Iterator[Any]:
        end = object()
        while (item := self._time(name, next, iterator, end)) is not end:
            yield item

    def _time(self, name: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        stack = self._thread.__dict__.setdefault("stack", [])
        stack.append(0)
        started = time.thread_time_ns()
        try:
            return function(*arguments, **options)
        finally:
            spent, within = time.thread_time_ns() - started, stack.pop()
            self.nanoseconds[name] += spent - within
            if stack:
                stack[-1] += spent


def install(timer: PartTimer) -> None:
    """Put the timer around each part."""
    for name, places in PARTS.items():
        for place in places:
            module, _, path = place.partition(":")
            owner: Any = importlib.import_module(module)
            *outer, last = path.split(".")
            for each in outer:
                owner = getattr(owner, each, None)
            if hasattr(owner, last):
                setattr(owner, last, timer.wrap(name, getattr(owner, last)))


def threads() -> Counter[str]:
    """Return the CPU time of this process's threads so far, ns, by name."""
    names, spent = {each.native_id: each.name for each in threading.enumerate()}, Counter[str]()
    for task in Path("/proc/self/task").iterdir():
        spent[f"thread {names.get(int(task.name), 'of a library')}"] += int((task / "schedstat").read_text().split()[0])
    return spent


def record(timer: PartTimer, path: Path, seconds: float) -> None:
    """Write the times of a span to a file: ms and calls a second."""
    time.sleep(SETTLING_SECONDS)
    before, calls, begun = timer.nanoseconds + threads(), timer.calls.copy(), time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - begun
    spent = timer.nanoseconds + threads()
    spent.subtract(before)
    figures = {
        name: (value / 1e6 / elapsed, (timer.calls[name] - calls[name]) / elapsed) for name, value in spent.items()
    }
    path.with_suffix(".part").write_text(json.dumps(figures), encoding="utf-8")
    path.with_suffix(".part").rename(path)


def run_daemon(arguments: list[str]) -> int:
    """Run the daemon in this process, with a thread that records."""
    path, seconds, is_timed, *options = arguments
    timer = PartTimer()
    if is_timed == "timed":
        install(timer)
    threading.Thread(target=record, args=(timer, Path(path), float(seconds)), name="recorder", daemon=True).start()
    main_function: Callable[[list[str]], int] = importlib.import_module("device.cli.main").main
    return main_function(["run", *options])


def measure(options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Run the daemon as it is, then with timers; return CPU time, ms, and calls of each part, for a second."""
    import whole_daemon

    figures: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sounds = whole_daemon.write_sounds(folder)
        broker, server = whole_daemon.Mosquitto(folder), whole_daemon.SoundServer(folder)
        broker.start()
        try:
            for kind in ("plain", "timed"):
                out = folder / kind
                environment = {**server.environment, "STATE_DIRECTORY": name, "PYTHONPATH": str(options.folder)}
                environment |= {"OPENBLAS_NUM_THREADS": "1", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
                command = [sys.executable, __file__, "--daemon", str(out), str(options.seconds), kind]
                command += ["--set", f"mqtt.port={broker.port}", "--set", f"model.bundle={options.bundle.resolve()}"]
                with whole_daemon.playing(sounds[options.sound], server):
                    daemon = subprocess.Popen(command, env=environment, cwd=options.folder, stderr=subprocess.DEVNULL)
                    while not out.exists():
                        if daemon.poll() is not None:
                            raise RuntimeError(f"the daemon has ended: {' '.join(command)}")
                        time.sleep(0.5)
                    daemon.terminate()
                    daemon.wait(timeout=20)
                measured = json.loads(out.read_text(encoding="utf-8"))
                is_thread = kind == "plain"
                figures |= {
                    part: tuple(pair) for part, pair in measured.items() if part.startswith("thread") == is_thread
                }
        finally:
            broker.stop()
            server.close()
    return figures


def main() -> None:
    """Measure, and print the parts."""
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=root / "models" / "urbansound8k-light")
    parser.add_argument("--sound", choices=["quiet", "busy"], default="busy")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--folder", type=Path, default=root, help="checkout whose daemon runs")
    for part, (milliseconds, calls) in sorted(measure(parser.parse_args()).items(), key=lambda each: -each[1][0]):
        print(f"{part:<32}{milliseconds:8.3f} ms/s" + (f"{calls:8.1f} calls/s" if calls else ""))


if __name__ == "__main__":
    sys.path.insert(0, os.environ.get("PYTHONPATH", ""))  # the folder of this file is first, and has no `device`
    sys.exit(run_daemon(sys.argv[2:])) if sys.argv[1:2] == ["--daemon"] else main()
