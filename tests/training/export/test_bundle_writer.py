"""Bundles that are exported, or refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from device.errors import ConfigError
from device.model.bundle import load_bundle
from device.model.ensemble import Ensemble
from device.model.scoring import Scorer, decide
from device.model.self_test import self_test
from training.export.bundle_writer import BundleInfo, export_bundle, golden_waveforms
from training.models.backbone import build_backbone
from training.models.head import LOGITS, attach_head, predict_logits
from training.quantization import tflite
from training.workflow import inception_kind


def test_bundle_passes_the_devices_own_checks(trained):
    """The device accepts an exported bundle: hashes, golden log-mels, golden scores."""
    bundle = load_bundle(trained.output / "bundle")
    self_test(bundle, Ensemble(bundle).networks)
    assert bundle.manifest.format_version == 1
    assert bundle.manifest.unknown.output
    assert (bundle.path / "MODEL_CARD.md").read_text().startswith("# tiny@0.1.0")


def test_int8_agrees_with_float(trained, load_inception):
    """Scores of the int8 network are close to the float ones."""
    float_network, _, keras = load_inception(trained, "all")
    windows = trained.data.inception.training_windows([1, 3, 10]).log_mels[:60]
    network = Ensemble(load_bundle(trained.output / "bundle")).networks["inception"]
    exact = np.exp(predict_logits(keras, windows) / float_network.heads["clip"].temperature)
    exact = (exact / exact.sum(axis=1, keepdims=True))[:, :3]
    quantized = np.stack([network.probabilities(network.outputs(window), "clip")[:3] for window in windows])
    assert np.abs(exact - quantized).mean() < 0.05


def test_a_bundle_that_disagrees_is_refused(trained, load_inception, tmp_path):
    """An int8 network with other decisions than its float network is not written, and an old bundle stays."""
    network, fold, keras = load_inception(trained, "all")
    part = trained.data.inception.part(network, fold, [1, 3, 10])
    head = network.heads["clip"].head
    scrambled = attach_head(
        build_backbone(trained.config.backbone, keras.input_shape[1:3]),
        type(head)(**{**vars(head), "weights": -head.weights}),
    )
    wrong = replace(
        part,
        content=tflite.convert(scrambled, part.log_mels[:20]),
        log_mels=part.log_mels[:60],
        logits=part.logits[:60],
    )
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.tflite").write_bytes(b"old")
    manifest = load_bundle(trained.output / "bundle").manifest
    info = BundleInfo("wrong", "1", manifest.labels, manifest.scoring, manifest.thresholds, True, 1.0, {}, {})
    with pytest.raises(ConfigError, match="not exported: the int8 network inception decides like the float one"):
        export_bundle({"inception": wrong}, info, folder)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["model.tflite"]
    assert (folder / "model.tflite").read_bytes() == b"old"


def test_decide_is_the_devices_rule(trained):
    """Decisions of many clips are those of the scorer for each clip."""
    bundle = load_bundle(trained.output / "bundle")
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 200).astype(np.float32)[:, :3]
    numbers = decide(probabilities, bundle.manifest.unknown)
    names = [(*bundle.labels, "unknown")[number] for number in numbers]
    assert names == [Scorer(bundle.manifest).decide(row) for row in probabilities]


def test_golden_waveforms_are_the_same_everywhere(trained):
    """Golden waveforms come from a fixed seed, and none is silent or clipped throughout."""
    features = trained.config.spectrograms.features
    first, second = (golden_waveforms(features.window_length, features.sample_rate) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one, other)
        assert np.abs(one).max() > 100
        assert (np.abs(one) >= 32767).mean() < 0.5


def test_the_manifest_contains_the_origin(trained):
    """The manifest contains command, folds, seed and accuracy, and no path of this machine."""
    text = (trained.output / "bundle" / "bundle.json").read_text()
    manifest = json.loads(text)
    assert manifest["training"]["command"].startswith("earshot-train retrain")
    assert manifest["training"]["train_folds"] == [1, 3, 10]
    assert set(manifest["accuracy"]["folds"]) == {"1", "3", "10"}
    assert str(trained.output) not in text


def test_an_export_compares_with_the_networks_own_logits(trained, load_inception, monkeypatch, tmp_path):
    """The float logits come from cached features and equal the network's; a fine-tuned network is evaluated itself."""
    monkeypatch.setattr(inception_kind, "quantize_network", lambda *_: b"")  # time
    network, _, keras = load_inception(trained, "all")
    part = trained.data.inception.part(network, None, [1, 3, 10])
    assert part.logits == pytest.approx(predict_logits(keras, part.log_mels), abs=0.05)
    keras.get_layer(LOGITS).bias.assign_add(np.ones(part.logits.shape[1]))
    keras.save_weights(tmp_path / "tuned.weights.h5")
    tuned = trained.data.inception.part(replace(network, tuned=tmp_path / "tuned.weights.h5"), None, [1, 3, 10])
    assert tuned.logits == pytest.approx(part.logits + 1, abs=0.05)
