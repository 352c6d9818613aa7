"""Page and plot of results: one row for each figure, and a bar for each one that has a goal or a peer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import Figure, Result, Skipped

_HEAD = """# Results of the benchmarks

Written by `make bench`; do not edit. Each row is one figure, where less is better. Ours and the peer were measured in
turn in one run, and are medians. A goal is the most that the ratio may be, or our value where there is no peer. Load is
the number of programs that ran or waited for a core in the minute before the row was written; a busy machine lengthens
times, and changes ratios and instruction counts little. The peer of an instruction count is the recorded one
([instructions.json](instructions.json)), so its ratio is what moved. [docs/performance.md](../docs/performance.md)
explains the figures.
"""
_COLUMNS = ("figure", "ours", "peer", "ratio", "goal", "machine", "Python, runtime, numpy", "date", "load", "benchmark")


@dataclass(frozen=True)
class Row:
    """Result with its circumstances.

    Attributes:
        benchmark: name of its file.
        result: the figure, or the reason for its absence.
        date: when it was measured, as 2026-01-31.
        load: of the machine, mean of a minute.
    """

    benchmark: str
    result: Result
    date: str
    load: float


def write_page(rows: Iterable[Row], machine: Mapping[str, str], path: Path, plot: str) -> None:
    """Write the page.

    Args:
        rows: in their order.
        machine: see `machine.versions`.
        path: Markdown file.
        plot: file of the plot, relative to the page.
    """
    rows = list(rows)
    lines = [_HEAD, f"![Ratios to peers and goals]({plot})\n", _line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
    lines += [_line(_cells(row, row.result, machine)) for row in rows if isinstance(row.result, Figure)]
    if skipped := [row for row in rows if isinstance(row.result, Skipped)]:
        lines += ["\n## Not measured\n", _line(("figure", "reason", "benchmark")), _line(["---"] * 3)]
        lines += [_line((row.result.name, row.result.reason, row.benchmark)) for row in skipped]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _cells(row: Row, figure: Figure, machine: Mapping[str, str]) -> list[str]:
    versions = f"{machine['python']}, {machine['runtime']}, {machine['numpy']}"
    peer = "" if figure.peer is None else f"{significant(figure.peer)}: {figure.peer_name}"
    circumstances = [machine["processor"], versions, row.date, f"{row.load:.1f}", row.benchmark]
    ours = f"{significant(figure.ours)} {figure.unit}"
    return [figure.name, ours, peer, _ratio(figure), _goal(figure), *circumstances]


def _ratio(figure: Figure) -> str:
    if figure.ratio is None:
        return ""
    return f"{100 * (figure.ratio - 1):+.1f} %" if figure.is_change else significant(figure.ratio)


def _goal(figure: Figure) -> str:
    if figure.share_of_goal is None:
        return ""
    return f"{figure.goal:g}: {'reached' if figure.share_of_goal <= 1 else '**missed**'}"


def significant(value: float) -> str:
    """Return a value with three significant digits, and all digits before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_plot(figures: Iterable[Figure], path: Path) -> None:
    """Draw a bar for each figure with a goal, as a share of the goal, and one for each ratio to a peer; write SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "earshot"  # the same figures give the same file
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt

    figures = list(figures)
    panels = {
        "share of the goal; 1 is the goal": [
            (_label(figure), figure.share_of_goal) for figure in figures if figure.goal
        ],
        "ratio to the peer, without a goal": [
            (_label(figure), figure.ratio)
            for figure in figures
            if figure.ratio is not None and figure.goal is None and not figure.is_change
        ],
    }
    panels = {title: bars for title, bars in panels.items() if bars}
    heights = [len(bars) + 2 for bars in panels.values()]
    drawing, axes = plt.subplots(
        max(1, len(panels)), squeeze=False, figsize=(10, 0.3 * sum(heights) + 0.6), height_ratios=heights or None
    )
    for axis, (title, bars) in zip(axes[:, 0], panels.items(), strict=False):
        _draw(axis, title, bars)
    drawing.tight_layout()
    drawing.savefig(path, metadata={"Date": None})
    plt.close(drawing)


def _label(figure: Figure) -> str:
    return f"{figure.name} / {figure.peer_name}" if figure.peer is not None else figure.name


def _draw(axis: Any, title: str, bars: Sequence[tuple[str, float]]) -> None:
    """Draw one panel on a logarithmic axis: bars begin at 1, and those above it have another colour."""
    names, values = zip(*bars, strict=True)
    colours = ["#2a7f62" if value <= 1 else "#b8503a" for value in values]
    axis.barh(range(len(bars)), [value - 1 for value in values], left=1.0, color=colours)
    for place, value in enumerate(values):
        axis.annotate(
            significant(value),
            (value, place),
            xytext=(3 if value > 1 else -3, 0),
            textcoords="offset points",
            ha="left" if value > 1 else "right",
            va="center",
            fontsize=8,
        )
    axis.axvline(1.0, color="black", linewidth=0.8)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlim(min(0.1, *values) / 2, max(10.0, *values) * 2)
    axis.set_yticks(range(len(bars)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set_title(title, fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
