"""Bundles that are exported, or refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from device.errors import ConfigError
from device.model.bundle import load_bundle, self_test
from training.export import bundle_writer as export
from training.export.bundle_writer import decide, export_bundle, golden_waveforms, load_classifier
from training.models.head import LOGITS, attach_head, predict_logits
from training.quantization import tflite
from training.workflow import run as steps


def parts(trained):
    """The final network, its float model, windows and what goes into a bundle."""
    network, keras = trained._load("all")
    windows = trained.data.training_windows(network.settings["train_folds"]).log_mels[:60]
    return network, keras, windows


def test_bundle_passes_the_devices_own_checks(trained):
    """What was exported is what the daemon accepts: hashes, golden log-mels, golden scores."""
    bundle = load_bundle(trained.output / "bundle")
    self_test(bundle, load_classifier(bundle))
    assert bundle.manifest.unknown.output
    assert (bundle.path / "MODEL_CARD.md").read_text().startswith("# tiny@0.1.0")


def test_int8_agrees_with_float(trained):
    """Logits of the int8 network lie within a few steps of the float ones."""
    network, keras, windows = parts(trained)
    bundle = load_bundle(trained.output / "bundle")
    classify = load_classifier(bundle)
    exact = np.exp(predict_logits(keras, windows) / network.temperature)
    exact = (exact / exact.sum(axis=1, keepdims=True))[:, :3]
    quantized = np.stack([classify(window) for window in windows])
    assert np.abs(exact - quantized).mean() < 0.05


def test_a_bundle_that_disagrees_is_refused(trained, monkeypatch, tmp_path):
    """An int8 network that decides otherwise than its float parent is not written, and an old bundle stays."""
    network, keras, windows = parts(trained)
    scrambled = attach_head(
        trained_backbone(keras), type(network.head)(**{**vars(network.head), "weights": -network.head.weights})
    )
    wrong = tflite.convert(scrambled, windows[:20])
    monkeypatch.setattr(export, "quantize_network", lambda *_: wrong)
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.tflite").write_bytes(b"old")
    manifest = load_bundle(trained.output / "bundle").manifest
    info = export.BundleInfo(
        "wrong", "1", manifest.labels, manifest.features, network.temperature, network.thresholds, True, 1.0, {}, {}
    )
    with pytest.raises(ConfigError, match="not exported: the int8 network decides like the float one"):
        export_bundle(keras, windows, predict_logits(keras, windows), info, folder)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["model.tflite"]
    assert (folder / "model.tflite").read_bytes() == b"old"


def trained_backbone(keras):
    """A fresh backbone with the same random weights as the trained network's."""
    from training.models.backbone import BackboneConfig, build_backbone

    return build_backbone(BackboneConfig("random", ("mixed0",)), keras.input_shape[1:3])


def test_decide_is_the_devices_rule(trained):
    """Many clips at once are decided as Bundle.decide does one by one."""
    bundle = load_bundle(trained.output / "bundle")
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 200).astype(np.float32)[:, :3]
    numbers = decide(probabilities, True)
    names = [(*bundle.labels, "unknown")[number] for number in numbers]
    assert names == [bundle.decide(row) for row in probabilities]


def test_golden_waveforms_are_the_same_everywhere(trained):
    """They are synthesised from a fixed seed, and none of them is silent or clipped throughout."""
    features = trained.config.spectrograms.features
    first, second = golden_waveforms(features), golden_waveforms(features)
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one, other)
        assert np.abs(one).max() > 100
        assert (np.abs(one) >= 32767).mean() < 0.5


def test_manifest_tells_how_it_was_made(trained):
    """Command, folds, seed and accuracy travel with the network, and no path of this machine does."""
    text = (trained.output / "bundle" / "bundle.json").read_text()
    manifest = json.loads(text)
    assert manifest["training"]["command"].startswith("earshot-train retrain")
    assert manifest["training"]["train_folds"] == [1, 3, 10]
    assert set(manifest["accuracy"]["folds"]) == {"1", "3", "10"}
    assert str(trained.output) not in text


def test_what_an_export_compares_with_is_what_the_network_says(trained, monkeypatch, tmp_path):
    """Its float logits come from features that were kept, and are the network's; a fine-tuned one is asked itself."""
    network, keras = trained._load("all")
    given = []
    monkeypatch.setattr(steps, "export_bundle", lambda _, log_mels, logits, *__: given.append((log_mels, logits)))
    trained._export(network, keras, tmp_path, "1", {})
    log_mels, logits = given[-1]
    assert logits == pytest.approx(predict_logits(keras, log_mels), abs=0.05)
    tuned = replace(network, settings={**network.settings, "fine_tune_epochs": 1})
    keras.get_layer(LOGITS).bias.assign_add(np.ones(logits.shape[1]))
    trained._export(tuned, keras, tmp_path, "1", {})
    assert given[-1][1] == pytest.approx(logits + 1, abs=0.05)
