"""`earshot-train`: from a folder of sounds to a bundle for the device."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.errors import EXIT_DONE, EarshotError

if TYPE_CHECKING:
    from training.workflow.run import Run

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
        elif options.step == "adapt":
            _adapt(options)
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
    run = _open_run(options, command)
    steps = list(_STEPS)[:-1] if options.step == "retrain" else [options.step]
    _print(run.dataset.description)
    if "prepare" in steps:
        examples = run.prepare()
        _print(f"prepared {len(examples.clip)} windows, {examples.features.shape[1]} features each")
    if "train" in steps:
        for name, accuracy in run.train().items():
            _print(f"trained {name}: {accuracy:.1%} of validation clips right")
    if "evaluate" in steps:
        from training.evaluation.summary import summary

        if options.protocol == "random":
            run = run.with_random_split()
            run.train()
        _print(summary(run.evaluate()))
    if "export" in steps:
        _print(f"wrote {run.export(options.name, options.version)} to {run.output / 'bundle'}")


def _distil(options: argparse.Namespace) -> None:
    from training.data.array_cache import Cache
    from training.distillation.targets import MixtureWindowsConfig, embed_mixtures
    from training.distillation.train_backbone import DISTILLED_LAYERS, DistillationConfig, stem_features, train_backbone
    from training.models.backbone import BackboneConfig

    config = replace(DistillationConfig(), **_overrides(options, "seed", "passes"))
    backbone = BackboneConfig(options.weights, DISTILLED_LAYERS)
    backbone.key()  # missing weights are told before the teacher hears sounds for minutes
    drawn = replace(MixtureWindowsConfig(), **_overrides(options, "seed", "windows"))
    targets = embed_mixtures(options.sounds, options.teacher, drawn, Cache(options.output / "cache"))
    path = train_backbone(
        targets, stem_features(backbone, targets.windows), backbone, config, options.output, "backbone"
    )
    _print(f"wrote {path}: give it to retrain as --weights")


def _adapt(options: argparse.Namespace) -> None:
    from training.distillation.targets import REHEARSAL
    from training.distillation.train_backbone import ADAPTATION

    run, config = _open_run(options, ""), replace(ADAPTATION, **_overrides(options, "seed", "passes"))
    _print(run.dataset.description)
    rehearsal = replace(REHEARSAL, **_overrides(options, "seed", "windows"))
    folder = run.adapt(options.teacher, options.sounds, rehearsal, config)
    _print(f"wrote {folder}: give it to retrain as --weights")


def _overrides(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """What the user set; the rest is as the config has it."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _open_run(options: argparse.Namespace, command: str) -> "Run":
    """The run that the options describe. TensorFlow is asked for first, so that nothing is done in vain."""
    from training.data.loading import load_dataset
    from training.data.spectrograms import SpectrogramConfig
    from training.fitting.fine_tuning import FineTuneConfig
    from training.fitting.head_trainer import HeadConfig
    from training.models.backbone import BackboneConfig
    from training.models.tf import import_tensorflow
    from training.workflow.experiment_data import ExperimentConfig
    from training.workflow.run import Run

    if options.download:
        from training.data.download import download_urbansound8k

        download_urbansound8k(options.data)
    dataset = load_dataset(options.data, options.negatives, options.seed, options.on_top_of)
    for warning in dataset.warnings:
        print(f"earshot-train: warning: {warning}", file=sys.stderr)
    import_tensorflow()
    layers = tuple(options.layers.split(",")) if options.layers else ()
    copies = {} if options.copies is None else {"copies": options.copies}
    config = ExperimentConfig(
        SpectrogramConfig(seed=options.seed, **copies),
        BackboneConfig(options.weights, layers, options.backbone),
        HeadConfig(),
        FineTuneConfig(epochs=options.fine_tune),
    )
    return Run(dataset, config, options.output, command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="earshot-train", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    for name, text in _STEPS.items():
        step = _add_step(steps, name, text)
        _add_data_options(step)
        add = step.add_argument
        add("--backbone", default="InceptionV3", help="InceptionV3, or for a Pi Zero 2 W MobileNetV2, MobileNetV3Small")
        add(
            "--fine-tune",
            type=_non_negative,
            default=0,
            metavar="EPOCHS",
            help="at most so many; as many as validation says",
        )
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
    distil = _add_step(steps, "distil", "teach the backbone to hear, by sounds without labels; gives weights (hours)")
    distil.add_argument("--weights", default="imagenet", help="to start from: imagenet, random, or a weights file")
    distil.add_argument("--output", type=Path, required=True, metavar="DIR", help="cache, curves and weights go there")
    _add_distillation_options(distil, windows="30,000", passes="3")
    adapt = _add_step(steps, "adapt", "go on with the clips, without their labels; gives weights for each fold (hours)")
    _add_data_options(adapt)
    adapt.set_defaults(backbone="InceptionV3", fine_tune=0)
    _add_distillation_options(adapt, windows="10,000", passes="2")
    return parser


def _add_step(steps: Any, name: str, text: str) -> argparse.ArgumentParser:
    step: argparse.ArgumentParser = steps.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    step.add_argument("--seed", type=_non_negative, default=0, help="of every draw (0)")
    return step


def _add_data_options(step: argparse.ArgumentParser) -> None:
    """What the clips are, and how they are seen."""
    add = step.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="holds metadata/ and audio/, or a folder a class")
    add("--output", type=Path, required=True, metavar="DIR", help="cache, networks, figures and bundle go there")
    add("--download", action="store_true", help="fetch UrbanSound8K (6 GB) into --data, unless it is there")
    add("--on-top-of", type=Path, metavar="DIR", help="UrbanSound8K: --data's classes are trained beside its ten")
    add(
        "--weights",
        default="imagenet",
        help="imagenet (downloaded by Keras), random, a weights file, or a folder of `adapt`",
    )
    add("--negatives", type=Path, action="append", default=[], metavar="DIR", help="other sounds; may be repeated")
    add("--copies", type=_non_negative, metavar="N", help="augmented copies of each clip (8)")
    add("--layers", default="", metavar="A,B", help="layers of the backbone whose outputs are pooled")


def _add_distillation_options(step: argparse.ArgumentParser, windows: str, passes: str) -> None:
    """Who teaches, with which sounds; the step's config holds the defaults, here they are but told."""
    add = step.add_argument
    add(
        "--sounds",
        type=Path,
        action="append",
        required=True,
        metavar="DIR",
        help="any recordings, in and below it; may be repeated, each folder gets the same share",
    )
    add("--teacher", type=Path, required=True, metavar="FILE", help="yamnet.tflite")
    add("--windows", type=_positive, metavar="N", help=f"of the sounds ({windows})")
    add("--passes", type=_positive, metavar="N", help=f"how often the backbone sees each ({passes})")


def _non_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def _positive(text: str) -> int:
    number = _non_negative(text)
    if not number:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _print(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
