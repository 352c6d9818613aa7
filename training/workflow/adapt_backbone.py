"""`earshot-train adapt`: the backbone goes on with the clips, without their labels, for each judged fold without it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from device.errors import ConfigError
from training.distillation.targets import LessonConfig, hear_clips, prepare_lesson
from training.distillation.train_backbone import TeachConfig, first_guess, look, teach
from training.models.backbone import fold_weights_name
from training.workflow.experiment_data import Material


def adapt(
    material: Material,
    teacher: Path,
    sounds: Sequence[Path],
    rehearsal: LessonConfig,
    config: TeachConfig,
    folder: Path,
) -> None:
    """Teach the backbone on the clips, without their labels: for each judged fold without it, and on all.

    Args:
        material: the clips and the backbone to go on from.
        teacher: yamnet.tflite.
        sounds: folders of free sounds.
        rehearsal: what is drawn from them, so that the backbone does not unlearn them.
        config: how long and how fast.
        folder: where the weights are written, to be given as `--weights`.

    Raises:
        InputError: a clip, a folder, the weights or the teacher are unreadable.
        ConfigError: the weights are a folder: they would differ from fold to fold.
    """
    backbone = material.recipe.backbone
    if backbone.for_test_fold(None) != backbone:
        raise ConfigError(
            f"{backbone.weights} is a folder of weights: adapt goes on from one file. Set --weights to such a file"
        )
    backbone.key()  # missing weights are told before the teacher hears sounds for minutes,
    free = prepare_lesson(sounds, teacher, rehearsal, material.cache)
    examples = material.examples  # and what is wrong with a clip before it hears them all
    lesson = hear_clips(material.maker, teacher, material.cache) + free
    seen = look(backbone, lesson.windows)
    for fold in material.networks.values():
        heard = np.flatnonzero(material.dataset.clip_folds[examples.clip] != fold)
        rows = np.concatenate([heard, np.arange(len(examples.clip), len(lesson))])
        guess = first_guess(examples.features[heard], lesson.targets(rows)[: len(heard)])
        teach(lesson, seen, backbone, config, folder, fold_weights_name(fold), rows, guess)
