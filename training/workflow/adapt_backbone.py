"""`earshot-train adapt`: the backbone goes on with the clips, without their labels, for each judged fold without it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from device.errors import ConfigError
from training.distillation.targets import MixtureWindowsConfig, embed_clips, embed_mixtures
from training.distillation.train_backbone import DistillationConfig, initial_head, stem_features, train_backbone
from training.models.backbone import fold_weights_name
from training.workflow.experiment_data import ExperimentData


def adapt_backbone(
    data: ExperimentData,
    teacher: Path,
    sounds: Sequence[Path],
    rehearsal: MixtureWindowsConfig,
    config: DistillationConfig,
    folder: Path,
) -> None:
    """Teach the backbone on the clips, without their labels: for each judged fold without it, and on all.

    Args:
        data: the clips and the backbone to go on from.
        teacher: yamnet.tflite.
        sounds: folders of free sounds.
        rehearsal: what is drawn from them, so that the backbone does not unlearn them.
        config: how long and how fast.
        folder: where the weights are written, to be given as `--weights`.

    Raises:
        InputError: a clip, a folder, the weights or the teacher are unreadable.
        ConfigError: the weights are a folder: they would differ from fold to fold.
    """
    backbone = data.config.backbone
    if backbone.for_test_fold(None) != backbone:
        raise ConfigError(
            f"{backbone.weights} is a folder of weights: adapt goes on from one file. Set --weights to such a file"
        )
    backbone.key()  # missing weights are told before the teacher hears sounds for minutes,
    mixtures = embed_mixtures(sounds, teacher, rehearsal, data.cache)
    examples = data.examples  # and what is wrong with a clip before it hears them all
    targets = embed_clips(data.maker, teacher, data.cache) + mixtures
    stem_outputs = stem_features(backbone, targets.windows)
    for fold in data.networks.values():
        training_rows = np.flatnonzero(data.dataset.clip_folds[examples.clip] != fold)
        rows = np.concatenate([training_rows, np.arange(len(examples.clip), len(targets))])
        head = initial_head(examples.features[training_rows], targets.standardized(rows)[: len(training_rows)])
        train_backbone(targets, stem_outputs, backbone, config, folder, fold_weights_name(fold), rows, head)
