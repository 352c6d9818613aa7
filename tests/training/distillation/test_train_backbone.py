"""Training of the backbone on the teacher's embeddings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device.model.features import FeatureConfig
from training.data.array_cache import Cache
from training.distillation import train_backbone as module
from training.distillation.targets import DistillationTargets, MixtureWindowsConfig, embed_mixtures
from training.distillation.train_backbone import DistillationConfig, initial_head, stem_features, train_backbone
from training.distillation.yamnet import EMBEDDING
from training.evaluation.tensorboard import read_curves
from training.models.backbone import BackboneConfig, build_backbone, load_rgb_backbone, save_weights
from training.models.head import LIMIT, BatchFeatures
from training.models.tf import import_tensorflow

SMALL = FeatureConfig(win_length_seconds=0.039, hop_length_seconds=0.039, mel_bands=75)
MIXTURES = MixtureWindowsConfig(features=SMALL, windows=96)
SHAPE = (SMALL.mel_bands, SMALL.frames)
DISTILLATION = DistillationConfig(passes=2, precision="float32")


def test_backbone_learns_the_embeddings(sounds, teacher, small_backbone, tmp_path):
    """The loss falls, and only weights above the stem change."""
    targets = embed_mixtures([sounds], teacher, MIXTURES, Cache(tmp_path / "cache"))
    assert targets.windows.shape == (96, *SHAPE)
    assert targets.embeddings.shape == (96, EMBEDDING)
    start = load_rgb_backbone(small_backbone("mixed0"), SHAPE)
    save_weights(start, "mixed0", tmp_path / "start.npz")
    backbone = small_backbone("mixed0", weights=str(tmp_path / "start.npz"))
    path = train_backbone(
        targets, stem_features(backbone, targets.windows), backbone, DISTILLATION, tmp_path / "out", "backbone"
    )
    losses = list(read_curves(tmp_path / "out" / "summaries" / "backbone" / "train")["epoch_loss"].values())
    assert losses[-1] < losses[0]
    with np.load(tmp_path / "start.npz") as before, np.load(path) as after:
        same = [np.array_equal(before[name], after[name]) for name in sorted(before.files) if name != "last_layer"]
    stem = 5 * 4  # five convolutions, each with a kernel and three arrays of its normalization
    assert all(same[:stem])
    assert not any(same[stem:])


def test_a_rerun_on_other_data_trains_anew(sounds, teacher, small_backbone, tmp_path, capsys):
    """A rerun on the same data restores the last pass and trains no more; one on other data begins at the start."""
    targets = embed_mixtures([sounds], teacher, MIXTURES, Cache(tmp_path / "cache"))
    save_weights(load_rgb_backbone(small_backbone("mixed0"), SHAPE), "mixed0", tmp_path / "start.npz")
    start = small_backbone("mixed0", weights=str(tmp_path / "start.npz"))
    stem_outputs = stem_features(start, targets.windows)

    def passes(data):
        capsys.readouterr()
        train_backbone(data, stem_outputs, start, DISTILLATION, tmp_path / "out", "backbone")
        return capsys.readouterr().out.count("Epoch ")

    assert passes(targets) == 2
    assert passes(targets) == 0
    assert passes(DistillationTargets(targets.windows, targets.embeddings[::-1])) == 2


def test_weights_are_interpolated_with_the_initial_ones(sounds, teacher, small_backbone, tmp_path):
    """With half of the initial weights kept, the result is halfway between initial and trained weights."""
    targets = embed_mixtures([sounds], teacher, MIXTURES, Cache(tmp_path / "cache"))
    save_weights(load_rgb_backbone(small_backbone("mixed0"), SHAPE), "mixed0", tmp_path / "start.npz")
    start = small_backbone("mixed0", weights=str(tmp_path / "start.npz"))
    stem_outputs = stem_features(start, targets.windows)
    path = {
        kept: train_backbone(
            targets, stem_outputs, start, replace(DISTILLATION, kept=kept), tmp_path / f"kept {kept}", "backbone"
        )
        for kept in (0.0, 0.5)
    }
    moved = missed = 0.0
    with np.load(start.weights) as here, np.load(path[0.0]) as there, np.load(path[0.5]) as halfway:
        for name in set(here.files) - {"last_layer"}:
            old, new = here[name].astype(np.float32), there[name].astype(np.float32)
            moved += float(np.abs(new - old).sum())
            missed += float(np.abs(halfway[name] - (old + new) / 2).sum())
    assert missed < 0.1 * moved


@pytest.mark.parametrize(
    ("flags", "precision"), [("flags: fma avx2", "float32"), ("flags: avx512f avx512_bf16", "mixed_bfloat16")]
)
def test_bfloat16_is_used_where_the_processor_supports_it(monkeypatch, flags, precision):
    """Without support, bfloat16 is emulated and takes ten times as long, so float32 is used."""
    monkeypatch.setattr(import_tensorflow().config, "list_physical_devices", lambda _: [])
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: flags)
    assert module._precision() == precision


def test_training_starts_from_the_initial_head(sounds, teacher, small_backbone, tmp_path):
    """The initial head explains much of the embedding, and the network predicts the same before its first step."""
    targets = embed_mixtures([sounds], teacher, MIXTURES, Cache(tmp_path))
    start = load_rgb_backbone(small_backbone("mixed1"), SHAPE)
    save_weights(start, "mixed1", tmp_path / "start.npz")
    backbone = small_backbone("mixed0", "mixed1", weights=str(tmp_path / "start.npz"))
    grayscale = build_backbone(backbone, SHAPE)
    features = BatchFeatures(grayscale)(targets.windows)
    standardized = targets.standardized(np.arange(len(targets)))
    head = initial_head(features, standardized)
    expected = head(features)
    assert np.square(expected - standardized).mean() < np.square(standardized).mean() / 2
    stem_outputs = stem_features(backbone, targets.windows)
    network = module._with_embedding(load_rgb_backbone(backbone, SHAPE), backbone, head)
    predicted = network.predict(stem_outputs.astype(np.float32), verbose=0)
    # A head clips beyond LIMIT, and the Keras model does not.
    within = np.abs((features.astype(np.float32) - head.mean) / head.scale).max(axis=1) < LIMIT
    assert within.sum() > 20
    assert predicted[within] == pytest.approx(expected[within], abs=0.05)


def test_a_backbone_with_random_weights_has_one_stem(tmp_path):
    """Random weights are the same each time, so cached stem outputs belong to the trained backbone."""
    random = BackboneConfig("random", ("mixed0",))
    windows = np.random.default_rng(0).integers(-127, 128, (2, *SHAPE), np.int8)
    set_random_seed = import_tensorflow().keras.utils.set_random_seed
    set_random_seed(5)
    save_weights(load_rgb_backbone(random, SHAPE), "mixed0", tmp_path / "drawn.npz")
    set_random_seed(6)
    drawn = stem_features(BackboneConfig(str(tmp_path / "drawn.npz"), ("mixed0",)), windows)
    assert drawn.std() > 0
    assert stem_features(random, windows) == pytest.approx(drawn, rel=0.02, abs=0.01)
