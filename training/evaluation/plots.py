"""Figures of the report, each as SVG text."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from device.types import LogMel

_STYLE: Any = {"svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


def confusion(counts: NDArray[np.int64], rows: Sequence[str], columns: Sequence[str]) -> str:
    """Draw clips by true label (rows) and decision (columns): shares of the row as color, counts as text."""
    figure, (axes,) = _figure(1, (8.5, 6.5))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            dark = shares[row, column] > 0.5
            axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel="decision", ylabel="true label")
    return _svg(figure)


def precision_recall(curves: Mapping[str, tuple[NDArray[Any], NDArray[Any], float]]) -> str:
    """Draw precision and recall of each label over all thresholds, with the average precision."""
    figure, panels = _figure(len(curves), (10, 2.4 * -(-len(curves) // 5)), columns=5)
    for axes, (label, (precision, recall, average)) in zip(panels, curves.items(), strict=True):
        axes.plot(recall, precision)
        axes.set(title=f"{label}\nAP {average:.2f}", xlim=(0, 1), ylim=(0, 1.05), xlabel="recall", ylabel="precision")
    return _svg(figure)


def reliability(confidence: NDArray[np.float64], accuracy: NDArray[np.float64], share: NDArray[np.float64]) -> str:
    """Draw accuracy against confidence; the area of a point is its share of the clips."""
    figure, (axes,) = _figure(1, (4.5, 4))
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.scatter(confidence, accuracy, s=12 + 1000 * share, alpha=0.7)
    axes.set(xlabel="confidence", ylabel="share right", xlim=(0, 1.02), ylim=(0, 1.02))
    return _svg(figure)


def bars(groups: Mapping[str, Mapping[str, float | None]]) -> str:
    """Draw shares, 0 to 1, by label (outer key), with one bar for each inner key."""
    figure, (axes,) = _figure(1, (8.5, 3))
    kinds = list(next(iter(groups.values())))
    for number, kind in enumerate(kinds):
        places = np.arange(len(groups)) + (number - (len(kinds) - 1) / 2) * 0.8 / len(kinds)
        axes.bar(places, [each[kind] or 0.0 for each in groups.values()], 0.8 / len(kinds), label=kind)
    axes.set_xticks(range(len(groups)), list(groups), rotation=30, ha="right")
    axes.set(ylim=(0, 1.05))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(kinds))
    return _svg(figure)


def false_alarms(
    candidates: NDArray[np.float64],
    rates: Mapping[str, NDArray[np.float64]],
    chosen: Mapping[str, float],
    allowed: float,
) -> str:
    """Draw false alarms per hour of each label against its threshold; a dot marks the chosen threshold."""
    figure, (axes,) = _figure(1, (8.5, 4))
    for label, curve in rates.items():
        (line,) = axes.plot(candidates, curve, label=label)
        axes.plot(chosen[label], np.interp(chosen[label], candidates, curve), "o", color=line.get_color())
    axes.axhline(allowed, color="grey", linestyle=":")
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set(xlabel="threshold", ylabel="false alarms per hour of ambience", ylim=(0, None))
    axes.legend(ncols=2, fontsize=7)
    return _svg(figure)


def curves(points: Mapping[str, Mapping[int, float]]) -> str:
    """Draw curves over steps, one for each key."""
    figure, (axes,) = _figure(1, (8.5, 3))
    for name, curve in points.items():
        axes.plot(list(curve), list(curve.values()), marker=".", label=name)
    axes.set(xlabel="epoch")
    axes.legend(fontsize=7)
    return _svg(figure)


def spectrogram(log_mel: LogMel) -> str:
    """Draw a log-mel, shape (mel_bands, frames), with low frequencies at the bottom."""
    figure, (axes,) = _figure(1, (2.6, 1.8))
    axes.imshow(log_mel, origin="lower", aspect="auto", cmap="magma", vmin=-1, vmax=1)
    axes.set_axis_off()
    return _svg(figure)


def _figure(panels: int, size: tuple[float, float], columns: int = 1) -> tuple[Figure, list[Any]]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        columns = min(columns, panels)
        axes = figure.subplots(-(-panels // columns), columns, squeeze=False).ravel()
    for spare in axes[panels:]:
        spare.set_axis_off()
    return figure, list(axes[:panels])


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": "earshot"}):  # the same figure gives the same text
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
