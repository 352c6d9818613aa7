"""Adaptation: a backbone for each test fold."""

from dataclasses import replace

import numpy as np
import pytest

from device.errors import ConfigError, InputError
from device.model.features import FeatureConfig
from training.distillation.targets import MixtureWindowsConfig
from training.distillation.train_backbone import DistillationConfig, stem_features
from training.models.backbone import build_backbone, load_rgb_backbone, save_weights
from training.models.head import attach_head, predict_logits
from training.models.tf import import_tensorflow
from training.workflow import adapt_backbone as adapt
from training.workflow.inception_kind import InceptionKind
from training.workflow.run import Run

SMALL = FeatureConfig(win_length_seconds=0.039, hop_length_seconds=0.039, mel_bands=75)
MIXTURES = MixtureWindowsConfig(features=SMALL, windows=96)
SHAPE = (SMALL.mel_bands, SMALL.frames)
DISTILLATION = DistillationConfig(passes=2, precision="float32")


def test_weights_for_a_fold_are_trained_without_it(adaptation_run, sounds, teacher, monkeypatch):
    """The weights for a test fold are trained on no window of that fold, labelled or not."""
    training_windows = {}

    def record(targets, stem_outputs, backbone, config, folder, name, rows, head):
        training_windows[name] = {window.tobytes() for window in targets.windows[rows]}
        assert np.array_equal(stem_outputs[rows[:2]], stem_features(backbone, targets.windows[rows[:2]]))
        return folder / f"{name}.npz"

    monkeypatch.setattr(adapt, "train_backbone", record)
    assert adaptation_run.adapt(teacher, [sounds], MIXTURES, DISTILLATION) == adaptation_run.output / "adapted"
    clip = np.concatenate([part.clip for part in adaptation_run.data.inception.parts])
    windows = np.concatenate([part.quantized for part in adaptation_run.data.inception.parts])
    folds = adaptation_run.dataset.clip_folds[clip]
    assert set(training_windows) == {"fold-1", "fold-3", "fold-10", "backbone"}
    for fold in (1, 3, 10):
        assert not any(window.tobytes() in training_windows[f"fold-{fold}"] for window in windows[folds == fold])
        assert all(window.tobytes() in training_windows[f"fold-{fold}"] for window in windows[folds != fold])
    assert all(window.tobytes() in training_windows["backbone"] for window in windows)


@pytest.mark.parametrize(
    ("weights", "error", "message"), [("none.npz", InputError, r"none\.npz"), (".", ConfigError, "from one file")]
)
def test_unusable_weights_are_refused_before_the_embeddings(
    adaptation_run, small_backbone, tmp_path, weights, error, message
):
    """Missing weights, or a folder of weights, are refused before the embeddings, which take a quarter of an hour."""
    config = replace(adaptation_run.config, backbone=small_backbone("mixed0", weights=str(tmp_path / weights)))
    run = Run(adaptation_run.dataset, config, adaptation_run.output, "")
    with pytest.raises(error, match=message):
        run.adapt(tmp_path / "none.tflite", [tmp_path / "no sounds"], MIXTURES, DISTILLATION)


def test_wrong_sounds_are_refused_before_the_features(adaptation_run, teacher, tmp_path, monkeypatch):
    """A folder without sounds is refused before the features of all clips, which take minutes."""
    monkeypatch.setattr(InceptionKind, "prepare", lambda *_: pytest.fail("features were computed"))
    with pytest.raises(InputError, match="no sound"):
        adaptation_run.adapt(teacher, [tmp_path], MIXTURES, DISTILLATION)


def test_each_network_gets_the_weights_without_its_fold(adaptation_run, load_inception, small_backbone, tmp_path):
    """Each fold's network loads its own weights of a folder; a missing file is an error."""
    for number, name in enumerate(("fold-1", "fold-3", "fold-10", "backbone")):
        import_tensorflow().keras.utils.set_random_seed(number)
        save_weights(load_rgb_backbone(small_backbone("mixed0"), SHAPE), "mixed0", tmp_path / f"{name}.npz")
    config = replace(adaptation_run.config, backbone=small_backbone("mixed0", weights=str(tmp_path)))
    run = Run(adaptation_run.dataset, config, adaptation_run.output, "")
    run.prepare()
    run.train()
    for fold, name in ((1, "fold-1"), (3, "fold-3"), (10, "fold-10"), (None, "backbone")):
        network, test_fold, keras = load_inception(run, f"fold-{fold}" if fold else "all")
        expected = small_backbone("mixed0", weights=str(tmp_path / f"{name}.npz"))
        assert network.settings["backbone"] == expected.key()
        inception = run.data.inception
        drawn = inception.fold_windows(fold or 1)
        logits = inception.logits(network, keras, test_fold, drawn)
        assert logits == pytest.approx(predict_logits(keras, drawn.log_mels), abs=0.05)
        attached = attach_head(build_backbone(expected, SHAPE), network.heads["clip"].head)
        assert predict_logits(keras, drawn.log_mels) == pytest.approx(
            predict_logits(attached, drawn.log_mels), abs=1e-4
        )
    (tmp_path / "fold-3.npz").unlink()
    with pytest.raises(InputError, match=r"fold-3\.npz"):
        Run(adaptation_run.dataset, config, adaptation_run.output, "").prepare()
