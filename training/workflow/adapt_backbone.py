"""Adaptation of the backbone to the dataset's clips, without their labels: `earshot-train adapt`."""

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
    """Train the backbone on the clips, without their labels: for each evaluation fold without it, and on all folds.

    Args:
        data: clips and initial backbone.
        teacher: yamnet.tflite.
        sounds: folders of free sounds.
        rehearsal: mixtures of the free sounds, so that the backbone does not forget them.
        config: duration and learning rate.
        folder: folder for the weights, for `--weights`.

    Raises:
        InputError: a clip, a folder, the weights or the teacher are unreadable.
        ConfigError: the initial weights are a folder, with different weights for each fold.
    """
    backbone = data.config.backbone
    if backbone.for_test_fold(None) != backbone:
        raise ConfigError(
            f"{backbone.weights} is a folder of weights; adapt continues from one file. Set --weights to such a file"
        )
    backbone.key()  # report missing weights before the embeddings, which take minutes
    mixtures = embed_mixtures(sounds, teacher, rehearsal, data.cache)
    examples = data.inception.prepare(None)  # report unreadable clips before the embeddings of all clips
    targets = embed_clips(data.inception.maker, teacher, data.cache) + mixtures
    folds = data.dataset.core.clip_folds
    stem_outputs = stem_features(backbone, targets.windows)
    for fold in data.networks.values():
        training_rows = np.flatnonzero(folds[examples.clip] != fold)
        rows = np.concatenate([training_rows, np.arange(len(examples.clip), len(targets))])
        head = initial_head(examples.features[training_rows], targets.standardized(rows)[: len(training_rows)])
        train_backbone(targets, stem_outputs, backbone, config, folder, fold_weights_name(fold), rows, head)
