"""Estimate of the costs on Raspberry Pis, from recorded instruction counts of emulated cores: docs/hardware.md.

    python benchmarks/pi_estimate.py [--write]

Time is instructions over (instructions per cycle x clock). The instructions per cycle are ranges, and the weakest part
of the estimate: docs/hardware.md gives their reasons.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from checkout import ROOT
from counted_work import QUIET, YAMNET_WINDOW
from instructions import START, read_record

PAGE = ROOT / "docs" / "hardware.md"
BEGIN, END = "<!-- benchmarks/pi_estimate.py: begin -->\n", "<!-- benchmarks/pi_estimate.py: end -->\n"
INFERENCE_PER_CYCLE = {"cortex-a53": (0.75, 1.0), "cortex-a72": (1.1, 1.4), "cortex-a76": (1.4, 2.2)}
"""Least and most instructions per cycle of a network: long loops over arrays."""
PYTHON_PER_CYCLE = {"cortex-a53": (0.35, 0.55), "cortex-a72": (0.6, 0.9), "cortex-a76": (1.0, 1.5)}
"""The same of everything else: short calls of much code."""
AFTER_A_WAIT = 0.6
"""Factor of the instructions per cycle where each piece of work follows a wait, so that the caches are cold."""
WHOLE_DAEMON = 1.25
"""Instructions of all threads, of the kernel and of the capture process, over those of the main thread: 13.5 over 10.8
million a second in quiet, counted by `perf` on a PC for 30 s."""
Range = tuple[float, float]


@dataclass(frozen=True)
class Board:
    """Raspberry Pi.

    Attributes:
        name: model and clock.
        core: key of the tables of instructions per cycle.
        megahertz: clock.
    """

    name: str
    core: str
    megahertz: int

    def inference(self, instructions: float) -> Range:
        """Return the shortest and the longest time of a network's instructions, ms."""
        return self._milliseconds(instructions, INFERENCE_PER_CYCLE[self.core])

    def python(self, instructions: float) -> Range:
        """Return the shortest and the longest time of other instructions, ms."""
        return self._milliseconds(instructions, PYTHON_PER_CYCLE[self.core])

    def _milliseconds(self, instructions: float, per_cycle: Range) -> Range:
        slow, fast = per_cycle
        return instructions / fast / self.megahertz / 1e3, instructions / slow / self.megahertz / 1e3


BOARDS = (
    Board("Zero 2 W, 1 GHz", "cortex-a53", 1000),
    Board("Pi 3 B, 1.2 GHz", "cortex-a53", 1200),
    Board("Pi 4, 1.5 GHz", "cortex-a72", 1500),
    Board("Pi 5, 2.4 GHz", "cortex-a76", 2400),
)


def estimates(board: Board, counts: Mapping[str, int]) -> Iterator[tuple[str, Range]]:
    """Yield each row's name and range: first those of `earshot bench`, then what follows from them."""
    windows: list[Range] = []
    yield f"{QUIET}, ms of CPU time", board.python(counts[QUIET])
    for name in dict.fromkeys(work.partition(":")[0] for work in counts if work.endswith("of a window")):
        log_mel = board.python(counts[f"{name}: log-mel of a window"])
        inference = board.inference(counts[f"{name}: inference of a window"])
        yield f"{name}: log-mel of a window, ms", log_mel
        yield f"{name}: inference of a window, ms", inference
        windows.append(added(log_mel, inference))
    yield "a window by all networks, ms", added(*windows)
    quiet = board.python(counts[QUIET] * WHOLE_DAEMON / AFTER_A_WAIT)
    yield "quiet: the whole daemon, % of a core", percent(quiet)
    yield "a sound without end, light bundle, % of a core", percent(added(quiet, windows[0]))
    yield "a sound without end, both networks, % of a core", percent(added(quiet, *windows))
    yield "start of `earshot run`, both networks, s", board.python(counts[START] / 1e3)
    if YAMNET_WINDOW in counts:
        yield f"for comparison, {YAMNET_WINDOW}, ms", board.inference(counts[YAMNET_WINDOW])


def added(*ranges: Range) -> Range:
    """Return the sum of ranges."""
    return sum(low for low, _ in ranges), sum(high for _, high in ranges)


def percent(milliseconds: Range) -> Range:
    """Return the share of a second, %."""
    return milliseconds[0] / 10, milliseconds[1] / 10


def table(record: Mapping[str, Mapping[str, Mapping[str, int]]]) -> str:
    """Return the table in Markdown: a row for each figure, a column for each board."""
    columns = {board.name: dict(estimates(board, record[f"qemu {board.core}"]["counts"])) for board in BOARDS}
    lines = ["| estimated | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    for name in next(iter(columns.values())):
        cells = [f"{rounded(low)} to {rounded(high)}" for low, high in (rows[name] for rows in columns.values())]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def rounded(value: float) -> str:
    """Return a value with two significant digits, as an estimate deserves."""
    return f"{float(f'{value:.2g}'):g}"


def page_with(text: str, new_table: str) -> str:
    """Return a page with the table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{new_table}\n{END}{after}"


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write it into {PAGE.relative_to(ROOT)}")
    new_table = table(read_record())
    if parser.parse_args().write:
        PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), new_table), encoding="utf-8")
    else:
        print(new_table, end="")


if __name__ == "__main__":
    main()
