"""Command line of `earshot-train`: from a folder of sounds to a bundle for the device."""

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.errors import EXIT_DONE, EarshotError, InputError
from training.cli.options import (
    NETWORKS,
    add_data_options,
    add_distillation_options,
    add_network_options,
    add_step,
    input_files,
    make_paths_absolute,
    non_negative,
)
from training.data.extra import check_extra

if TYPE_CHECKING:
    from training.data.parallel import Workers
    from training.workflow.run import Run

_STEPS = {
    "prepare": "find the clips; compute and cache spectrograms and features (minutes)",
    "train": "fit a network without each fold, and one on all; runs `prepare` first if needed",
    "evaluate": "test each network on its test fold, float and int8",
    "export": "write the bundle of the network trained on all folds",
    "retrain": "run prepare, train, evaluate and export in turn",
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
        check_extra()
        if options.step == "distil":
            _distil(options)
        elif options.step == "adapt":
            with _workers(options) as workers:
                _adapt(options, workers)
        else:
            with _workers(options) as workers:
                _run(options, shlex.join(["earshot-train", *arguments]), workers)
    except EarshotError as error:
        print(f"earshot-train: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nearshot-train: interrupted; the same command continues after the last finished step", file=sys.stderr)
        return 130
    return EXIT_DONE


@contextmanager
def _workers(options: argparse.Namespace) -> Iterator["Workers"]:
    """Return what the long steps run on: the threads of this process, or the workers of a dask scheduler."""
    if options.scheduler is None:
        from training.data.parallel import THREADS

        yield THREADS
        return
    if options.weights == "random":
        raise InputError(
            "--scheduler: each worker would draw other weights for --weights random. Run it without --scheduler, or "
            "name a file of weights"
        )
    from training.data.dask_workers import connect

    make_paths_absolute(options)
    with connect(options.scheduler) as workers:
        yield workers


def _run(options: argparse.Namespace, command: str, workers: "Workers") -> None:
    run = _open_run(options, command, workers)
    steps = list(_STEPS)[:-1] if options.step == "retrain" else [options.step]
    _print(run.dataset.description)
    if "prepare" in steps:
        for name, (windows, features) in run.prepare().items():
            _print(f"prepared {name}: {windows} windows, {features} features each")
    if "train" in steps:
        for name, accuracies in run.train().items():
            each = ", ".join(f"{network} {accuracy:.1%}" for network, accuracy in accuracies.items())
            _print(f"trained {name}: validation clips correct: {each}")
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


def _adapt(options: argparse.Namespace, workers: "Workers") -> None:
    from training.distillation.targets import REHEARSAL
    from training.distillation.train_backbone import ADAPTATION

    run, config = _open_run(options, "", workers), replace(ADAPTATION, **_overrides(options, "seed", "passes"))
    _print(run.dataset.description)
    rehearsal = replace(REHEARSAL, **_overrides(options, "seed", "windows"))
    folder = run.adapt(options.teacher, options.sounds, rehearsal, config)
    _print(f"wrote {folder}. Pass it to retrain as --weights")


def _overrides(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return the options that the user set; the configuration holds the defaults of the others."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _open_run(options: argparse.Namespace, command: str, workers: "Workers") -> "Run":
    """Create the run of the options. TensorFlow is imported first, to report a missing one before long steps."""
    from device.errors import InputError
    from training.data.loading import load_dataset
    from training.data.spectrograms import SpectrogramConfig
    from training.fitting.audioset_features import AudioSetConfig
    from training.fitting.fine_tuning import FineTuneConfig
    from training.fitting.head_trainer import HeadConfig
    from training.models.backbone import BackboneConfig
    from training.models.efficientat import CHECKPOINT, load_arrays
    from training.models.tf import import_tensorflow
    from training.workflow.experiment_data import ExperimentConfig
    from training.workflow.run import Run

    audioset = None
    if NETWORKS[0] in options.networks:
        if options.audioset_weights is None:
            raise InputError(f"no weights of the network audioset. {CHECKPOINT}. Or pass --networks inception")
        load_arrays(options.audioset_weights)  # report wrong weights before long steps
        audioset = AudioSetConfig(options.audioset_weights)
    if options.download:
        from training.data.download import download_urbansound8k

        download_urbansound8k(options.data)
    dataset = load_dataset(options.data, options.negatives, options.seed, options.on_top_of, options.also)
    for warning in dataset.warnings:
        print(f"earshot-train: warning: {warning}", file=sys.stderr)
    workers.check_files([*(clip.path for clip in dataset.clips), *input_files(options)], options.output)
    import_tensorflow()
    layers = tuple(options.layers.split(",")) if options.layers else ()
    copies = {} if options.copies is None else {"copies": options.copies}
    if audioset is not None:
        audioset = replace(audioset, **copies)
    config = ExperimentConfig(
        SpectrogramConfig(seed=options.seed, **copies),
        BackboneConfig(options.weights, layers, options.backbone),
        HeadConfig(),
        FineTuneConfig(epochs=options.fine_tune),
        networks=options.networks,
        audioset=audioset,
    )
    return Run(dataset, config, options.output, command, workers=workers)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="earshot-train",
        description="Train a network from a folder of sounds, and export the bundle for the device.",
    )
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    for name, text in _STEPS.items():
        step = add_step(steps, name, text)
        add_data_options(step)
        add_network_options(step)
        add = step.add_argument
        add(
            "--backbone",
            default="InceptionV3",
            help="InceptionV3 (default); for a Pi Zero 2 W MobileNetV2, MobileNetV3Small",
        )
        add(
            "--fine-tune",
            type=non_negative,
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
    distil = add_step(steps, "distil", "train the backbone on sounds without labels, and write its weights (hours)")
    distil.add_argument(
        "--weights", default="imagenet", help="initial weights: imagenet (default), random, or a weights file"
    )
    distil.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for cache, curves and weights"
    )
    add_distillation_options(distil, windows="30,000", passes="3")
    adapt = add_step(steps, "adapt", "continue with the clips, without labels, and write weights for each fold (hours)")
    add_data_options(adapt)
    adapt.set_defaults(backbone="InceptionV3", fine_tune=0, networks=NETWORKS[1:])
    add_distillation_options(adapt, windows="10,000", passes="2")
    return parser


def _print(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
