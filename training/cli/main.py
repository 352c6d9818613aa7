"""Command line of `earshot-train`: from a folder of sounds to a bundle for the device."""

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
    "train": "fit a network without each fold, and one on all; runs `prepare` first if needed",
    "evaluate": "test each network on its test fold, float and int8",
    "export": "write the bundle of the network trained on all folds",
    "retrain": "run all these steps in turn",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: arguments without the program's name; None for those of the process.

    Returns:
        The exit code: 0 done, 2 wrong arguments, 78 bad configuration, 69 missing dependency or service, 130
        interrupted.
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
        print("\nearshot-train: interrupted; the same command continues after the last finished step", file=sys.stderr)
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
            _print(f"trained {name}: {accuracy:.1%} of validation clips correct")
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
    backbone.key()  # report missing weights before the embeddings, which take minutes
    drawn = replace(MixtureWindowsConfig(), **_overrides(options, "seed", "windows"))
    targets = embed_mixtures(options.sounds, options.teacher, drawn, Cache(options.output / "cache"))
    path = train_backbone(
        targets, stem_features(backbone, targets.windows), backbone, config, options.output, "backbone"
    )
    _print(f"wrote {path}. Pass it to retrain as --weights")


def _adapt(options: argparse.Namespace) -> None:
    from training.distillation.targets import REHEARSAL
    from training.distillation.train_backbone import ADAPTATION

    run, config = _open_run(options, ""), replace(ADAPTATION, **_overrides(options, "seed", "passes"))
    _print(run.dataset.description)
    rehearsal = replace(REHEARSAL, **_overrides(options, "seed", "windows"))
    folder = run.adapt(options.teacher, options.sounds, rehearsal, config)
    _print(f"wrote {folder}. Pass it to retrain as --weights")


def _overrides(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return the options that the user set; the configuration holds the defaults of the others."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _open_run(options: argparse.Namespace, command: str) -> "Run":
    """Create the run of the options. TensorFlow is imported first, to report a missing one before long steps."""
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
        add(
            "--backbone",
            default="InceptionV3",
            help="InceptionV3 (default); for a Pi Zero 2 W MobileNetV2, MobileNetV3Small",
        )
        add(
            "--fine-tune",
            type=_non_negative,
            default=0,
            metavar="EPOCHS",
            help="largest number of epochs; validation chooses fewer if they are better (0)",
        )
        add(
            "--protocol",
            choices=("folds", "random") if name == "evaluate" else ("folds",),
            default="folds",
            help="random LEAKS recordings into the test; only to reproduce the seed article's figure"
            if name == "evaluate"
            else argparse.SUPPRESS,
        )
        add("--name", default="earshot", help="name of the bundle (earshot)")
        add("--version", default="1.0.0", help="version of the bundle (1.0.0)")
    distil = _add_step(steps, "distil", "train the backbone on sounds without labels, and write its weights (hours)")
    distil.add_argument(
        "--weights", default="imagenet", help="initial weights: imagenet (default), random, or a weights file"
    )
    distil.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for cache, curves and weights"
    )
    _add_distillation_options(distil, windows="30,000", passes="3")
    adapt = _add_step(
        steps, "adapt", "continue with the clips, without labels, and write weights for each fold (hours)"
    )
    _add_data_options(adapt)
    adapt.set_defaults(backbone="InceptionV3", fine_tune=0)
    _add_distillation_options(adapt, windows="10,000", passes="2")
    return parser


def _add_step(steps: Any, name: str, text: str) -> argparse.ArgumentParser:
    step: argparse.ArgumentParser = steps.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    step.add_argument("--seed", type=_non_negative, default=0, help="seed of all random choices (0)")
    return step


def _add_data_options(step: argparse.ArgumentParser) -> None:
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
    add("--copies", type=_non_negative, metavar="N", help="augmented copies of each clip (8)")
    add("--layers", default="", metavar="A,B", help="layers of the backbone to pool")


def _add_distillation_options(step: argparse.ArgumentParser, windows: str, passes: str) -> None:
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
    add("--windows", type=_positive, metavar="N", help=f"number of windows drawn from the sounds ({windows})")
    add("--passes", type=_positive, metavar="N", help=f"passes over the windows ({passes})")


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
