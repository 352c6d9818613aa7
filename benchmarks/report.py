"""Report of the benchmarks: runs them one after another, and writes benchmarks/results.md and results.svg.

    python benchmarks/report.py [--all] [--only NAME...]

`make bench` runs the short ones, in about ten minutes on an idle machine; --all adds the long ones. --only prints the
figures of some benchmarks, and writes nothing.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from checkout import ROOT
from figures import Figure, Result, Skipped, note, read_results
from machine import load, today, versions
from results_page import Row, write_page, write_plot

BENCHMARKS = ROOT / "benchmarks"
LONGEST_SECONDS = 1800
"""Longest run of one benchmark, s."""


@dataclass(frozen=True)
class Benchmark:
    """File of this folder that prints figures.

    Attributes:
        name: of the file.
        arguments: that keep it short.
        is_long: whether it runs only with --all.
    """

    name: str
    arguments: Sequence[str] = ()
    is_long: bool = False


SUITE = (
    Benchmark("instructions"),
    Benchmark("quiet_path"),
    Benchmark("whole_daemon", ("--seconds", "20")),
    Benchmark("window_to_puback", ("--rounds", "1")),
    Benchmark("level"),
    Benchmark("history", ("--events", "100000")),
    Benchmark("outbox", ("--messages", "20000")),
    Benchmark("fleet", ("--seconds", "20", "--per-minute", "12")),
    Benchmark("stream", ("--kills", "3", "--seconds", "4")),
    Benchmark("whole_daemon", ("--bundle", "models/urbansound8k"), is_long=True),
    Benchmark("sources", is_long=True),
    Benchmark("page_load", is_long=True),
    Benchmark("gate", is_long=True),
)


def run(benchmark: Benchmark) -> tuple[list[Result], int]:
    """Run one benchmark, and return its results and its exit status. One that fails is a row with its last line."""
    command = [sys.executable, str(BENCHMARKS / f"{benchmark.name}.py"), "--json", *benchmark.arguments]
    note(f"$ python benchmarks/{benchmark.name}.py {' '.join(benchmark.arguments)}")
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return [Skipped(benchmark.name, f"failed: not finished after {LONGEST_SECONDS} s")], 1
    results = list(read_results(done.stdout.splitlines()))
    if done.returncode:
        last_line = (done.stderr.strip().splitlines() or ["without a message"])[-1]
        results.append(Skipped(benchmark.name, f"failed: {last_line}"))
    return results, done.returncode


def main() -> int:
    """Run the benchmarks, and write the page and the plot; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="also the long ones, some forty minutes")
    parser.add_argument("--only", nargs="+", choices=sorted({each.name for each in SUITE}), help="these alone")
    options = parser.parse_args()
    rows, status = [], 0
    for benchmark in SUITE:
        if benchmark.name not in options.only if options.only else benchmark.is_long and not options.all:
            continue
        results, failed = run(benchmark)
        status = status or (1 if failed else 0)
        for result in results:
            note(result)
            rows.append(Row(benchmark.name, result, today(), load()))
    if not options.only:
        write_page(rows, versions(), BENCHMARKS / "results.md", plot="results.svg")
        write_plot([row.result for row in rows if isinstance(row.result, Figure)], BENCHMARKS / "results.svg")
        note("wrote benchmarks/results.md and benchmarks/results.svg")
    return status


if __name__ == "__main__":
    sys.exit(main())
