"""Figures for people: the text after a run, and the bundle's model card."""

from collections.abc import Mapping
from typing import Any

from device.model.bundle import Bundle
from device.model.manifest import CARD
from training.data.urbansound8k import NAME as URBANSOUND8K


def summary(evaluation: Mapping[str, Any]) -> str:
    """Accuracy by fold and by label, as text."""
    lines = [evaluation["protocol"], ""] if evaluation["leaks"] else []
    lines += [evaluation["data"], "", "fold        clips   float    int8  agree  front   back  unknown"]
    for name, each in [*evaluation["folds"].items(), ("pooled", evaluation["pooled"])]:
        values = (each["float"], each["int8"], each["agreement"], each["foreground"], each["background"])
        cells = " ".join(f"{_percent(value):>6}" for value in (*values, each["unknown_recall"]))
        lines.append(f"{name:<10} {each['clips']:>6}  {cells}")
    mean, spread = evaluation["mean"], evaluation["spread"]
    lines.append(f"mean of folds     {_percent(mean['float']):>7} {_percent(mean['int8']):>7}")
    lines.append(f"spread (std)      {_percent(spread['float']):>7} {_percent(spread['int8']):>7}")
    pooled = evaluation["pooled"]
    lines += ["", "int8, all folds pooled:"]
    lines += [f"  {'macro-F1':<20} {_percent(pooled['macro_f1'])}"]
    lines += [f"  {'calibration error':<20} {_percent(pooled['calibration_error'])}"]
    lines += [f"  {label:<20} {_percent(share)}" for label, share in evaluation["pooled"]["per_label"].items()]
    if through := evaluation["pooled"]["pipeline"]:
        lines += ["", f"through gate, windows and events ({evaluation['scenes']}):"]
        lines.append(f"{'':<22} looked at   named right")
        for label, each in [("all clips", through), *through["per_label"].items()]:
            lines.append(f"  {label:<20} {_percent(each['gate_recall']):>9}   {_percent(each['recall']):>11}")
        lines.append(f"  {_false_events(through)}")
    return "\n".join(lines)


def model_card(bundle: Bundle, evaluation: Mapping[str, Any], agreement: float, command: str) -> None:
    """Write the bundle's MODEL_CARD.md."""
    manifest = bundle.manifest
    pooled, mean, spread = evaluation["pooled"], evaluation["mean"], evaluation["spread"]
    urban = manifest.training["data"].startswith(URBANSOUND8K)
    text = f"""# {bundle}

Names {len(bundle.labels)} sounds in {manifest.features.window_seconds:g} s of audio: {", ".join(bundle.labels)};
{"and says `unknown` for others." if manifest.unknown.output else "knows no others: it was trained without negatives."}
A network from ImageNet (the command below names it and its weights), the outputs of
{", ".join(manifest.training["backbone"]["layers"])} pooled over the
window (mean and maximum), one linear layer fitted by linear discriminant analysis; int8,
{bundle.model_path.stat().st_size / 1e6:.1f} MB.

## Made by

    {command}

## Data and licence

{manifest.training["found"]}.
{_URBAN_LICENCE if urban else "The user's own recordings; their licence is the user's to know."}

## Protocol

{evaluation["protocol"].capitalize()}.
{_URBAN_CHOICE if urban else ""}A fold is tested if it holds every label; the others only train. The network in
this folder is trained on all folds, so the figures below are those of its siblings that were each trained without the
fold they were tested on; on the clips it was trained on, this network itself does far better, which says nothing.
The int8 figures come from the exported file through the device's own code, as `earshot classify` computes them, and
`unknown` for a labelled clip counts as an error.

## Figures

| fold | clips | float | int8 | float and int8 alike |
| --- | --- | --- | --- | --- |
{_rows(evaluation)}
| mean of folds | | {_percent(mean["float"])} | {_percent(mean["int8"])} | |
| spread (standard deviation) | | {_percent(spread["float"])} | {_percent(spread["int8"])} | |

Pooled, int8: macro-F1 {_percent(pooled["macro_f1"])}, foreground clips {_percent(pooled["foreground"])}, background
clips {_percent(pooled["background"])}, expected calibration error {pooled["calibration_error"]}; labelled clips called
`unknown` {_percent(pooled["called_unknown"])}, negatives called `unknown` {_percent(pooled["unknown_recall"])}.
This file's int8 network decides like its float parent on {_percent(agreement)} of training windows.

| label | right (int8, pooled) | event threshold | its odds | its false alarms per hour of held-out ambience |
| --- | --- | --- | --- | --- |
{_label_rows(bundle, pooled)}

The thresholds hold for live scores: where the device listens, a sound is taken to be none of the labels with
{manifest.unknown.live_odds:.0f} times the odds that it has among clips, times those of its likeliest label
(`live_odds`: ambience is taken for some labels more often than for others), and with
{manifest.unknown.faint_odds:g} times more for each dB by which it rises less than {manifest.unknown.clear_db:g} dB
above the noise floor.

{_pipeline_section(evaluation)}## Limits

A confidence is calibrated on clips like the training data's; another microphone or street will shift it. Weak labels
above are weak in life. Alone, this must not guard anybody's safety: it is a sensor, not an alarm.
"""
    (bundle.path / CARD).write_text(text, encoding="utf-8")


_URBAN_CHOICE = """Which layers are pooled, the sample rate, how the head is fitted and what its temperature is chosen
on, what it gives up for other sounds, how windows of one sound are judged together, what counts as faint, that labels
have odds of their own, what the backbone is taught, and the least live odds were settled by comparing some 240 variants
on these very test folds and their ambience (docs/trials.md), so the figures are kinder than an unheard fold will be,
that of false events above all.
What is said of a validation fold comes from a backbone that never heard that fold, but may have heard the tested one,
without labels; what is said of the tested fold, from one that never heard it.
"""
_URBAN_LICENCE = """UrbanSound8K: CC BY-NC 4.0, J. Salamon, C. Jacoby, J. P. Bello, "A Dataset and Taxonomy for Urban
Sound Research", ACM Multimedia 2014. A network trained on it should be taken as bound to non-commercial use too.
ImageNet weights of Inception V3: Google, Apache-2.0; those in models/backbone.npz were taught by YAMNet (Google,
Apache-2.0) on sounds without labels, from Debian's free packages, ESC-10 and the ambience, and those that `adapt` makes
of them on the clips, too, without their labels (docs/network.md). Negatives and backgrounds, where given: ESC-10
(CC BY 3.0, K. J. Piczak) and free ambience recordings (CC0, CC BY, Pixabay, public domain)."""


def _rows(evaluation: Mapping[str, Any]) -> str:
    return "\n".join(
        f"| {name} | {each['clips']} | "
        + " | ".join(_percent(each[kind]) for kind in ("float", "int8", "agreement"))
        + " |"
        for name, each in [*evaluation["folds"].items(), ("pooled", evaluation["pooled"])]
    )


def _label_rows(bundle: Bundle, pooled: Mapping[str, Any]) -> str:
    thresholds = bundle.manifest.thresholds
    return "\n".join(
        f"| {label} | {_percent(pooled['per_label'][label])} | {thresholds[label].threshold} | "
        f"{thresholds[label].live_odds:.2g} | {thresholds[label].false_alarms_per_hour} |"
        for label in bundle.labels
    )


def _pipeline_section(evaluation: Mapping[str, Any]) -> str:
    through = evaluation["pooled"]["pipeline"]
    if not through:
        return ""
    rows = "\n".join(
        f"| {label} | {_percent(each['gate_recall'])} | {_percent(each['recall'])} |"
        for label, each in [(f"all {through['clips']}", through), *through["per_label"].items()]
    )
    return f"""## Through gate, windows and events

What a user gets: {evaluation["scenes"]}. A clip is looked at if a window over half of it, or a second, reached the
network; it is named right if an event of its label began while it sounded, give or take 2 s. Networks, clips and
ambience are of folds that do not know one another, as above.

| clips | looked at | named right |
| --- | --- | --- |
{rows}

{_false_events(through)}.

"""


def _false_events(through: Mapping[str, Any]) -> str:
    each = ", ".join(f"{label} {count}" for label, count in through["false_events"].items()) or "none"
    return (
        f"{through['false_events_per_hour']:.1f} false events an hour, in {60 * through['ambience_hours']:.0f} minutes "
        f"of held-out ambience at its own level ({each})"
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
