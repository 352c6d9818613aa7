"""Instruction counts: of a quiet second, a window of each network, and the start; beside the recorded ones.

    python benchmarks/instructions.py [--record]
    python benchmarks/instructions.py --counter valgrind [--record]

Load does not change them, so a change of a few percent is a change of the code or of a library. They are recorded in
benchmarks/instructions.json, with the versions and the processor, which chooses kernels by its instruction set. `perf`
counts by the processor's own counter, in half a minute; valgrind, in a quarter of an hour, where a virtual machine has
none. aarch64.sh counts on emulated cores of Raspberry Pis.

Each count is the difference of two runs of counted_work.py, over the number of repetitions, in user space alone. Under
emulation, one run contains all kinds of work.
"""

import argparse
import dataclasses
import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from checkout import ROOT
from counter import Counter, perf, valgrind
from emulation import CORES, qemu
from figures import Figure, Result, Skipped, make_parser, publish
from machine import today

RECORDED = Path(__file__).resolve().with_name("instructions.json")
START = "start of `earshot run`, half a second of silence, end"
UNIT = "million"
PROGRAM = ROOT / "benchmarks" / "counted_work.py"


def count_all(counter: Counter) -> dict[str, Any]:
    """Return the counts of all kinds of work, with what they depend on.

    Raises:
        FileNotFoundError: the counter is not installed.
        RuntimeError: the counter cannot count here.
    """
    counts, versions = (count_marked if counter.has_marks else count_differences)(counter)
    with tempfile.TemporaryDirectory() as state:
        counts[START] = count_start(counter, Path(state))
    return {**versions, "date": today(), "counts": counts}


def count_differences(counter: Counter) -> tuple[dict[str, int], dict[str, str]]:
    """Count each kind of work in a run of its own, and return the differences to a run without; and the versions."""
    (*_, basis), printed = counter.count(str(PROGRAM), "0")
    description, number, counts = json.loads(printed), counter.repetitions, {}
    for work in description["works"]:
        (*_, total), _ = counter.count(str(PROGRAM), str(number), work)
        counts[work] = round((total - basis) / number)
    return counts, description["versions"]


def count_marked(counter: Counter) -> tuple[dict[str, int], dict[str, str]]:
    """Count all kinds of work in one run, between its marks; return the counts and the versions."""
    number = counter.repetitions
    (*marks, _), printed = counter.count(str(PROGRAM), str(number), "--marks")
    description = json.loads(printed)
    pairs = zip(description["works"], itertools.pairwise(marks), strict=True)
    return {work: round((after - before) / number) for work, (before, after) in pairs}, description["versions"]


def count_start(counter: Counter, state: Path) -> int:
    """Return the instructions of the daemon from its start to its end, with half a second of silence and no broker."""
    silence = state / "silence.wav"
    soundfile.write(silence, np.zeros(8000), 16000)
    counter = dataclasses.replace(counter, environment={**counter.environment, "STATE_DIRECTORY": str(state)})
    command = ["-m", "device", "run", "--quiet", "--input", str(silence), "--speed", "max", "--exit-at-end"]
    for _ in range(2):  # the first run fills Python's cache of compiled modules
        (*_, count), _ = counter.count(*command, "--set", "mqtt.port=1")
    return count


def compare(counter: str, counted: Mapping[str, Any], recorded: Mapping[str, Any]) -> Iterator[Result]:
    """Yield each count with the recorded one as its peer, in millions.

    Args:
        counter: name of the counter.
        counted: result of `count_all`.
        recorded: the same, as it was recorded; empty if it never was.
    """
    before = recorded.get("counts", {})
    kinds = ("processor", "python", "runtime", "numpy")
    changed = [f"{kind} {recorded[kind]}" for kind in kinds if before and recorded[kind] != counted[kind]]
    name_of_peer = f"recorded {recorded['date']}" if before else ""
    peer_name = ", ".join([name_of_peer, *changed])
    for work, count in counted["counts"].items():
        peer = before[work] / 1e6 if work in before else None
        name = f"instructions, {counter}: {work}"
        yield Figure(name, count / 1e6, UNIT, peer, peer_name if peer else "", is_change=peer is not None)
    for work in sorted(before.keys() - counted["counts"].keys()):
        yield Skipped(f"instructions, {counter}: {work}", "recorded, but this machine lacks what it needs")


def read_record(path: Path = RECORDED) -> dict[str, Any]:
    """Return the recorded counts by counter."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def write_record(name: str, counted: Mapping[str, Any], path: Path = RECORDED) -> None:
    """Record the counts of one counter in place of its former ones."""
    record = dict(sorted({**read_record(path), name: counted}.items()))
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def results(counters: Iterable[Counter], *, record: bool, path: Path = RECORDED) -> Iterator[Result]:
    """Count with each counter, yield the comparisons, and record the counts if asked."""
    for counter in counters:
        try:
            counted = count_all(counter)
        except FileNotFoundError as error:
            yield Skipped(f"instructions, {counter.name}", f"{error.filename} is not installed")
            continue
        except RuntimeError as error:
            yield Skipped(f"instructions, {counter.name}", str(error))
            continue
        yield from compare(counter.name, counted, read_record(path).get(counter.name, {}))
        if record:
            write_record(counter.name, counted, path)


def chosen_counters(options: argparse.Namespace) -> Iterator[Counter]:
    """Yield the counters that the options name."""
    if options.counter == "qemu":
        yield from (qemu(core, options.root, options.packages, options.plugin) for core in options.core)
    else:
        yield perf() if options.counter == "perf" else valgrind()


def main() -> None:
    """Count, compare, and record if asked."""
    parser = make_parser(__doc__)
    parser.add_argument("--counter", choices=["perf", "valgrind", "qemu"], default="perf")
    parser.add_argument("--record", action="store_true", help="write the counts to benchmarks/instructions.json")
    parser.add_argument("--core", nargs="+", choices=CORES, default=list(CORES), help="of qemu")
    for name in ("root", "packages", "plugin"):
        parser.add_argument(f"--{name}", type=Path, help="of qemu, see aarch64.sh")
    options = parser.parse_args()
    if options.counter == "qemu" and None in (options.root, options.packages, options.plugin):
        parser.error("qemu needs --root, --packages and --plugin. Run benchmarks/aarch64.sh, which makes all three")
    publish(results(chosen_counters(options), record=options.record), as_json=options.json)


if __name__ == "__main__":
    main()
