"""`earshot-train`: from a folder of sounds to a bundle for the device."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.errors import EXIT_DONE, EarshotError

if TYPE_CHECKING:
    from training.steps import Run

_STEPS = {
    "prepare": "find the clips; compute and cache spectrograms and features (minutes)",
    "train": "fit a network without each fold, and one on all; needs `prepare`, which it does if need be",
    "evaluate": "test each network on the fold it never saw, float and int8",
    "export": "write the bundle of the network trained on all folds",
    "retrain": "all of them in turn",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: arguments without the program's name; None takes the process's.

    Returns:
        The exit code of design.md: 0 done, 2 wrong arguments, 78 bad config, 69 something outside is missing.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    try:
        if options.step == "distil":
            _distil(options)
        else:
            _run(options, shlex.join(["earshot-train", *arguments]))
    except EarshotError as error:
        print(f"earshot-train: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nearshot-train: stopped; the same command goes on from the last finished step", file=sys.stderr)
        return 130
    return EXIT_DONE


def _run(options: argparse.Namespace, command: str) -> None:
    run = _open(options, command)
    steps = list(_STEPS)[:-1] if options.step == "retrain" else [options.step]
    _say(run.dataset.found)
    if "prepare" in steps:
        examples = run.examples
        _say(f"prepared {len(examples.clip)} windows, {examples.features.shape[1]} features each")
    if "train" in steps:
        for name, accuracy in run.train().items():
            _say(f"trained {name}: {accuracy:.1%} of validation clips right")
    if "evaluate" in steps:
        from training.report import summary

        if options.protocol == "random":
            run = run.at_random()
            run.train()
        _say(summary(run.evaluate()))
    if "export" in steps:
        _say(f"wrote {run.export(options.name, options.version)} to {run.output / 'bundle'}")


def _distil(options: argparse.Namespace) -> None:
    from training.cache import Cache
    from training.distil import DistilConfig, distil, prepare_lesson

    given = {name: value for name in ("windows", "passes") if (value := getattr(options, name)) is not None}
    config = DistilConfig(seed=options.seed, **given)
    lesson = prepare_lesson(options.sounds, options.teacher, config, Cache(options.output / "cache"))
    _say(f"wrote {distil(lesson, options.weights, config, options.output)}: give it to retrain as --weights")


def _open(options: argparse.Namespace, command: str) -> "Run":
    """The run that the options describe. TensorFlow is asked for first, so that nothing is done in vain."""
    from training.finetune import FineTuneConfig
    from training.loading import load_dataset
    from training.model import BackboneConfig, tensorflow
    from training.spectrograms import SpectrogramConfig
    from training.steps import Recipe, Run
    from training.train import HeadConfig

    if options.download:
        from training.download import download_urbansound8k

        download_urbansound8k(options.data)
    dataset = load_dataset(options.data, options.negatives, options.seed, options.on_top_of)
    for warning in dataset.warnings:
        print(f"earshot-train: warning: {warning}", file=sys.stderr)
    tensorflow()
    layers = tuple(options.layers.split(",")) if options.layers else ()
    copies = {} if options.copies is None else {"copies": options.copies}
    recipe = Recipe(
        SpectrogramConfig(seed=options.seed, **copies),
        BackboneConfig(options.weights, layers, options.backbone),
        HeadConfig(),
        FineTuneConfig(epochs=options.fine_tune),
    )
    return Run(dataset, recipe, options.output, command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="earshot-train", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    for name, text in _STEPS.items():
        step = steps.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        add = step.add_argument
        add(
            "--data",
            type=Path,
            required=True,
            metavar="DIR",
            help="holds metadata/ and audio/, or a folder a class",
        )
        add(
            "--output",
            type=Path,
            required=True,
            metavar="DIR",
            help="cache, networks, figures and bundle go there",
        )
        add("--download", action="store_true", help="fetch UrbanSound8K (6 GB) into --data, unless it is there")
        add(
            "--on-top-of",
            type=Path,
            metavar="DIR",
            help="UrbanSound8K: --data's classes are trained beside its ten",
        )
        add("--weights", default="imagenet", help="imagenet (downloaded by Keras), random, or a weights file")
        add(
            "--negatives",
            type=Path,
            action="append",
            default=[],
            metavar="DIR",
            help="other sounds; may be repeated",
        )
        add("--backbone", default="InceptionV3", help="InceptionV3, or for a Pi Zero 2 W MobileNetV2, MobileNetV3Small")
        add("--copies", type=_count, metavar="N", help="augmented copies of each clip (8)")
        add("--layers", default="", metavar="A,B", help="layers of the backbone whose outputs are pooled")
        add(
            "--fine-tune",
            type=_count,
            default=0,
            metavar="EPOCHS",
            help="at most so many; as many as validation says",
        )
        add("--seed", type=_count, default=0, help="of every draw (0)")
        add(
            "--protocol",
            choices=("folds", "random") if name == "evaluate" else ("folds",),
            default="folds",
            help="random LEAKS recordings into the test: to reproduce the seed article's figure, and for nothing else"
            if name == "evaluate"
            else argparse.SUPPRESS,
        )
        add("--name", default="earshot", help="the bundle's name")
        add("--version", default="1.0.0", help="the bundle's version")
    _add_distil(steps)
    return parser


def _add_distil(steps: Any) -> None:
    text = "teach the backbone to hear, by a teacher and sounds without labels (hours); gives weights for `retrain`"
    distil = steps.add_parser("distil", help=text, description=text[0].upper() + text[1:] + ".")
    add = distil.add_argument
    add(
        "--sounds",
        type=Path,
        action="append",
        required=True,
        metavar="DIR",
        help="any recordings, in and below it; may be repeated, each folder gets the same share",
    )
    add("--teacher", type=Path, required=True, metavar="FILE", help="yamnet.tflite")
    add("--output", type=Path, required=True, metavar="DIR", help="cache, checkpoint, curves and backbone.npz go there")
    add("--weights", default="imagenet", help="to start from: imagenet, random, or a weights file")
    add("--windows", type=_count, metavar="N", help="windows that the teacher hears (30,000)")
    add("--passes", type=_count, metavar="N", help="how often the backbone sees each (3)")
    add("--seed", type=_count, default=0, help="of every draw (0)")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
