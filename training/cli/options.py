"""Options of `earshot-train` that several steps share."""

import argparse
from pathlib import Path
from typing import Any

from device.util.text import quoted, whole_number

_LARGEST = 2**32 - 1
"""Largest seed of numpy and of TensorFlow; far above any useful count."""
NETWORKS = ("audioset", "inception")
"""Networks of a bundle, in the order of scoring."""


def add_step(steps: Any, name: str, text: str) -> argparse.ArgumentParser:
    """Add a step with the options of every step; `text` is its help."""
    step: argparse.ArgumentParser = steps.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    step.add_argument("--seed", type=non_negative, default=0, help="seed of all random choices (0)")
    return step


def add_data_options(step: argparse.ArgumentParser) -> None:
    """Add the options of clips, features and output."""
    add = step.add_argument
    add(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with metadata/ and audio/, or with class folders",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="folder for cache, networks, figures and bundle")
    add("--download", action="store_true", help="download UrbanSound8K (6 GB) into --data, unless it is there")
    add(
        "--on-top-of",
        type=Path,
        metavar="DIR",
        help="UrbanSound8K, to train its classes and those of --data together",
    )
    add(
        "--weights",
        default="imagenet",
        help="imagenet (default, downloaded by Keras), random, a weights file, or a folder of `adapt`",
    )
    add(
        "--negatives",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of sounds that are none of the classes; can be repeated",
    )
    add(
        "--also",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of clips that only train: ESC-50, rebuilt clips with table.csv, or others; can be repeated",
    )
    add("--copies", type=non_negative, metavar="N", help="augmented copies of each clip (8)")
    add("--layers", default="", metavar="A,B", help="layers of the backbone to pool")
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="address of a dask scheduler (tcp://HOST:PORT), whose workers extract features and judge networks",
    )


def make_paths_absolute(options: argparse.Namespace) -> None:
    """Make all paths absolute, because workers of other machines run in other folders."""
    for name, value in vars(options).items():
        if isinstance(value, Path):
            setattr(options, name, value.absolute())
        elif isinstance(value, list):
            setattr(options, name, [each.absolute() for each in value])
    if Path(options.weights).exists():
        options.weights = str(Path(options.weights).absolute())


def input_files(options: argparse.Namespace) -> list[Path]:
    """Return the files of weights that the options name."""
    weights = Path(options.weights)
    files = sorted(weights.glob("*.npz")) if weights.is_dir() else [weights] if weights.is_file() else []
    audioset = getattr(options, "audioset_weights", None)
    return [*files, *([audioset] if audioset is not None else [])]


def add_network_options(step: argparse.ArgumentParser) -> None:
    """Add the options that choose the networks of the bundle."""
    add = step.add_argument
    add(
        "--networks",
        type=network_names,
        default=NETWORKS,
        metavar="NAMES",
        help="audioset,inception (default), audioset, or inception; the first one scores every window",
    )
    add(
        "--audioset-weights",
        type=Path,
        metavar="FILE",
        help="EfficientAT mn04 (mn04_as_mAP_432.pt) as npz, for the network audioset; see docs/training.md",
    )


def add_distillation_options(step: argparse.ArgumentParser, windows: str, passes: str) -> None:
    """Add the options of teacher and sounds. The defaults are in the step's configuration; here they are help text."""
    add = step.add_argument
    add(
        "--sounds",
        type=Path,
        action="append",
        required=True,
        metavar="DIR",
        help="folder of recordings, searched recursively; can be repeated, each folder gets the same share",
    )
    add("--teacher", type=Path, required=True, metavar="FILE", help="yamnet.tflite")
    add("--windows", type=positive, metavar="N", help=f"number of windows drawn from the sounds ({windows})")
    add("--passes", type=positive, metavar="N", help=f"passes over the windows ({passes})")


def network_names(text: str) -> tuple[str, ...]:
    """Parse the names of one or two networks, in the order of scoring."""
    names = tuple(text.split(","))
    if names not in (NETWORKS, NETWORKS[:1], NETWORKS[1:]):
        raise argparse.ArgumentTypeError(f"{text!r} is not {','.join(NETWORKS)}, {' or '.join(NETWORKS)}")
    return names


def non_negative(text: str) -> int:
    """Parse a whole number of 0 or more."""
    return _whole_number(text, 0)


def positive(text: str) -> int:
    """Parse a whole number of 1 or more."""
    return _whole_number(text, 1)


def _whole_number(text: str, least: int) -> int:
    if (number := whole_number(text, least, _LARGEST)) is None:
        raise argparse.ArgumentTypeError(f"is {quoted(text)}, must be a whole number, {least} to {_LARGEST}")
    return number
