"""Adaptation: a backbone for each test fold."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from device.errors import ConfigError, InputError
from device.model.features import FeatureConfig
from training.distillation.targets import LessonConfig
from training.distillation.train_backbone import TeachConfig, look
from training.models.backbone import BackboneConfig, load_rgb_backbone, save_weights
from training.models.head import predict_logits
from training.workflow import adapt_backbone as adapt
from training.workflow.experiment_data import Material
from training.workflow.run import Run

SMALL = FeatureConfig(win_length_seconds=0.039, hop_length_seconds=0.039, mel_bands=75)
LESSON = LessonConfig(features=SMALL, windows=96)
SHAPE = (SMALL.mel_bands, SMALL.frames)
TEACH = TeachConfig(passes=2, precision="float32")


def test_weights_for_a_fold_are_taught_without_it(adaptation_run, sounds, teacher, monkeypatch):
    """No window of a judged fold, labelled or not, is in the lesson of the weights that it judges."""
    lessons = {}

    def note(lesson, seen, backbone, config, folder, name, rows, guess):
        lessons[name] = {window.tobytes() for window in lesson.windows[rows]}
        assert np.array_equal(seen[rows[:2]], look(backbone, lesson.windows[rows[:2]]))
        return folder / f"{name}.npz"

    monkeypatch.setattr(adapt, "teach", note)
    assert adaptation_run.adapt(teacher, [sounds], LESSON, TEACH) == adaptation_run.output / "adapted"
    clip = np.concatenate([part.clip for part in adaptation_run.material.parts])
    windows = np.concatenate([part.quantized for part in adaptation_run.material.parts])
    folds = adaptation_run.dataset.clip_folds[clip]
    assert set(lessons) == {"fold-1", "fold-3", "fold-10", "backbone"}
    for fold in (1, 3, 10):
        assert not any(window.tobytes() in lessons[f"fold-{fold}"] for window in windows[folds == fold])
        assert all(window.tobytes() in lessons[f"fold-{fold}"] for window in windows[folds != fold])
    assert all(window.tobytes() in lessons["backbone"] for window in windows)


@pytest.mark.parametrize(
    ("weights", "error", "told"), [("none.npz", InputError, r"none\.npz"), (".", ConfigError, "from one file")]
)
def test_weights_that_do_not_serve_are_told_before_the_teacher_is_asked(adaptation_run, tmp_path, weights, error, told):
    """Hearing sounds and clips takes a quarter of an hour: a wrong path, or a folder of weights, is told before."""
    recipe = replace(adaptation_run.recipe, backbone=BackboneConfig(str(tmp_path / weights), ("mixed0",)))
    run = Run(adaptation_run.dataset, recipe, adaptation_run.output, "")
    with pytest.raises(error, match=told):
        run.adapt(tmp_path / "none.tflite", [tmp_path / "no sounds"], LESSON, TEACH)


def test_wrong_sounds_are_told_before_clips_are_looked_at(adaptation_run, teacher, tmp_path, monkeypatch):
    """Features of all clips take minutes: a folder without sounds is told before."""
    monkeypatch.setattr(Material, "examples", property(lambda material: pytest.fail("looked at the clips")))
    with pytest.raises(InputError, match="no sound"):
        adaptation_run.adapt(teacher, [tmp_path], LESSON, TEACH)


def test_each_network_gets_the_weights_that_never_heard_its_fold(adaptation_run, tmp_path):
    """Of a folder of weights each fold's network takes its own, and the one that ships the last; none is left out."""
    for number, name in enumerate(("fold-1", "fold-3", "fold-10", "backbone")):
        tf.keras.utils.set_random_seed(number)
        save_weights(
            load_rgb_backbone(BackboneConfig("random", ("mixed0",)), SHAPE), "mixed0", tmp_path / f"{name}.npz"
        )
    recipe = replace(adaptation_run.recipe, backbone=BackboneConfig(str(tmp_path), ("mixed0",)))
    run = Run(adaptation_run.dataset, recipe, adaptation_run.output, "")
    run.prepare()
    run.train()
    for fold, name in ((1, "fold-1"), (3, "fold-3"), (10, "fold-10"), (None, "backbone")):
        network, keras = run._load(f"fold-{fold}" if fold else "all")
        own = BackboneConfig(str(tmp_path / f"{name}.npz"), ("mixed0",))
        assert network.settings["backbone"] == own.key()
        drawn = run.material.fold_windows(fold or 1)
        assert run._logits(network, keras, drawn) == pytest.approx(predict_logits(keras, drawn.log_mels), abs=0.05)
        assert predict_logits(keras, drawn.log_mels) == pytest.approx(
            predict_logits(network.to_keras(own, SHAPE), drawn.log_mels), abs=1e-4
        )
    (tmp_path / "fold-3.npz").unlink()
    with pytest.raises(InputError, match=r"fold-3\.npz"):
        Run(adaptation_run.dataset, recipe, adaptation_run.output, "").prepare()
