"""Text summary of an evaluation, printed after a run."""

from collections.abc import Mapping
from typing import Any

from training.evaluation.templates import percent


def summary(evaluation: Mapping[str, Any]) -> str:
    """Return accuracy by fold and by label, as text."""
    lines = [evaluation["protocol"], ""] if evaluation["leaks"] else []
    lines += [evaluation["data"], "", "fold        clips   float shipped  agree  front   back  unknown"]
    for name, each in [*evaluation["folds"].items(), ("pooled", evaluation["pooled"])]:
        values = (each["float"], each["int8"], each["agreement"], each["foreground"], each["background"])
        cells = " ".join(f"{percent(value):>6}" for value in (*values, each["unknown_recall"]))
        lines.append(f"{name:<10} {each['clips']:>6}  {cells}")
    mean, spread = evaluation["mean"], evaluation["spread"]
    lines.append(f"mean of folds     {percent(mean['float']):>7} {percent(mean['int8']):>7}")
    lines.append(f"spread (std)      {percent(spread['float']):>7} {percent(spread['int8']):>7}")
    pooled = evaluation["pooled"]
    lines += ["", "as shipped, all folds pooled:"]
    lines += [f"  {'macro-F1':<20} {percent(pooled['macro_f1'])}"]
    lines += [f"  {'calibration error':<20} {percent(pooled['calibration_error'])}"]
    lines += [f"  {label:<20} {percent(share)}" for label, share in evaluation["pooled"]["per_label"].items()]
    if pipeline := evaluation["pooled"]["pipeline"]:
        lines += ["", f"through gate, windows and events ({evaluation['scenes']}):"]
        lines.append(f"{'':<22}classified      detected")
        for label, each in [("all clips", pipeline), *pipeline["per_label"].items()]:
            lines.append(f"  {label:<20} {percent(each['gate_recall']):>9}   {percent(each['recall']):>11}")
        lines.append(f"  {false_events(pipeline)}")
    return "\n".join(lines)


def false_events(pipeline: Mapping[str, Any]) -> str:
    """Return the rate of false events, and their labels, as text."""
    each = ", ".join(f"{label} {count}" for label, count in pipeline["false_events"].items()) or "none"
    return (
        f"{pipeline['false_events_per_hour']:.1f} false events per hour, "
        f"in {60 * pipeline['ambience_hours']:.0f} minutes of held-out ambience at its own level ({each})"
    )
