"""Bundles that are exported, or refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from device.errors import ConfigError
from device.model.bundle import load_bundle
from device.model.scoring import Scorer, decide
from device.model.self_test import self_test
from training.export import bundle_writer as module
from training.export.bundle_writer import export_bundle, golden_waveforms, load_ensemble
from training.models.head import LOGITS, attach_head, predict_logits
from training.quantization import tflite
from training.workflow import run as workflow


def parts(trained):
    """Return the final network, its Keras model, and windows."""
    network, keras = trained._load("all")
    windows = trained.data.training_windows(network.settings["train_folds"]).log_mels[:60]
    return network, keras, windows


def test_bundle_passes_the_devices_own_checks(trained):
    """The device accepts an exported bundle: hashes, golden log-mels, golden scores."""
    bundle = load_bundle(trained.output / "bundle")
    self_test(bundle, load_ensemble(bundle).networks)
    assert bundle.manifest.unknown.output
    assert (bundle.path / "MODEL_CARD.md").read_text().startswith("# tiny@0.1.0")


def test_int8_agrees_with_float(trained):
    """Scores of the int8 network are close to the float ones."""
    network, keras, windows = parts(trained)
    bundle = load_bundle(trained.output / "bundle")
    network = load_ensemble(bundle).networks["inception"]
    exact = np.exp(predict_logits(keras, windows) / network.temperature)
    exact = (exact / exact.sum(axis=1, keepdims=True))[:, :3]
    quantized = np.stack([network.probabilities(network.outputs(window), "clip")[:3] for window in windows])
    assert np.abs(exact - quantized).mean() < 0.05


def test_a_bundle_that_disagrees_is_refused(trained, monkeypatch, tmp_path):
    """An int8 network with other decisions than its float network is not written, and an old bundle stays."""
    network, keras, windows = parts(trained)
    scrambled = attach_head(
        trained_backbone(keras), type(network.head)(**{**vars(network.head), "weights": -network.head.weights})
    )
    wrong = tflite.convert(scrambled, windows[:20])
    monkeypatch.setattr(module, "quantize_network", lambda *_: wrong)
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.tflite").write_bytes(b"old")
    manifest = load_bundle(trained.output / "bundle").manifest
    info = module.BundleInfo(
        "wrong",
        "1",
        manifest.labels,
        manifest.first.features,
        network.temperature,
        network.thresholds,
        True,
        1.0,
        {},
        {},
    )
    with pytest.raises(ConfigError, match="not exported: the int8 network decides like the float one"):
        export_bundle(keras, windows, predict_logits(keras, windows), info, folder)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["model.tflite"]
    assert (folder / "model.tflite").read_bytes() == b"old"


def trained_backbone(keras):
    """Return a new backbone with the random weights of the trained network."""
    from training.models.backbone import BackboneConfig, build_backbone

    return build_backbone(BackboneConfig("random", ("mixed0",)), keras.input_shape[1:3])


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
    first, second = golden_waveforms(features), golden_waveforms(features)
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


def test_an_export_compares_with_the_networks_own_logits(trained, monkeypatch, tmp_path):
    """The float logits come from cached features and equal the network's; a fine-tuned network is evaluated itself."""
    network, keras = trained._load("all")
    calls = []
    monkeypatch.setattr(workflow, "export_bundle", lambda _, log_mels, logits, *__: calls.append((log_mels, logits)))
    trained._export(network, keras, tmp_path, "1", {})
    log_mels, logits = calls[-1]
    assert logits == pytest.approx(predict_logits(keras, log_mels), abs=0.05)
    tuned = replace(network, settings={**network.settings, "fine_tune_epochs": 1})
    keras.get_layer(LOGITS).bias.assign_add(np.ones(logits.shape[1]))
    trained._export(tuned, keras, tmp_path, "1", {})
    assert calls[-1][1] == pytest.approx(logits + 1, abs=0.05)
