"""Figures of benchmarks: what one measured, its peer, its goal, and the form in which report.py reads them."""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

import checkout  # noqa: F401 - puts this checkout's packages on the path, for all benchmarks


@dataclass(frozen=True)
class Figure:
    """One measurement. Less is better.

    Attributes:
        name: quantity, without its unit.
        ours: value of Earshot.
        unit: unit of both values.
        peer: value of the peer in the same run; None without a peer.
        peer_name: what the peer is.
        goal: most that the ratio may be; without a peer, most that our value may be; None without a goal.
        is_change: whether the peer is an earlier value of the same quantity, so that the ratio is a change.
    """

    name: str
    ours: float
    unit: str
    peer: float | None = None
    peer_name: str = ""
    goal: float | None = None
    is_change: bool = False

    @property
    def ratio(self) -> float | None:
        """Our value over the peer's; None without a peer."""
        return None if not self.peer else self.ours / self.peer

    @property
    def share_of_goal(self) -> float | None:
        """Ratio, or our value without a peer, over the goal: at most 1 where it is reached; None without a goal."""
        if self.goal is None:
            return None
        value = self.ours if self.ratio is None else self.ratio
        if self.goal == 0:
            return 1.0 if value == 0 else math.inf
        return value / self.goal

    def __str__(self) -> str:
        text = f"{self.name:<58} {self.ours:10.3f} {self.unit}"
        if self.ratio is not None:
            ratio = f"{100 * (self.ratio - 1):+.1f} % from" if self.is_change else f"{self.ratio:.3f} of"
            text += f", {ratio} {self.peer_name}"
        if self.share_of_goal is not None:
            text += f"   (goal: at most {self.goal:g}{'' if self.share_of_goal <= 1 else ', missed'})"
        return text


@dataclass(frozen=True)
class Skipped:
    """Figure that was not measured.

    Attributes:
        name: quantity, or the benchmark.
        reason: what is missing on this machine.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name:<58} not measured: {self.reason}"


Result = Figure | Skipped
_KINDS = {"figure": Figure, "skipped": Skipped}


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the benchmark's docstring as its help, and the option of `publish`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each figure")
    return parser


def publish(results: Iterable[Result], *, as_json: bool) -> None:
    """Print each result as it comes: for people, or as a line of JSON that `read_results` reads."""
    for result in results:
        kind = "figure" if isinstance(result, Figure) else "skipped"
        print(json.dumps({"kind": kind, **asdict(result)}) if as_json else result, flush=True)


def read_results(lines: Iterable[str]) -> Iterator[Result]:
    """Yield the results that a benchmark printed with `--json`, each from one line."""
    for line in lines:
        fields = json.loads(line)
        yield _KINDS[fields.pop("kind")](**fields)


def note(text: object) -> None:
    """Print details that are no figure, to standard error."""
    print(text, file=sys.stderr, flush=True)


def cpu_seconds_in_turn(works: Mapping[str, Callable[[], object]], rounds: int = 9) -> dict[str, float]:
    """Run each work in turn, some rounds, and return the median of its CPU time, s: load then affects all alike.

    One round before them fills the caches, and does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            started = time.process_time()
            work()
            times[name].append(time.process_time() - started)
    return {name: statistics.median(values[1:]) for name, values in times.items()}
