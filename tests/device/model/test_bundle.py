import hashlib
import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from fake_bundle import FakeNetwork
from support import make_bundle

from device.errors import ConfigError
from device.model.bundle import load_bundle
from device.model.features import FeatureConfig, log_mel
from device.model.manifest import manifest_digest
from device.model.scoring import Scorer
from device.model.self_test import self_test
from device.service.runtime import open_bundle
from device.types import UNKNOWN

FILES = ["bundle.json", "model.tflite", "golden.npz"]


@pytest.fixture
def copy(format_1_path, tmp_path):
    """Copy a bundle of format 1, so that a test can damage it."""
    return shutil.copytree(format_1_path, tmp_path / "bundle")


def rewrite(path, **changes):
    """Change the manifest and update its hash."""
    manifest = json.loads((path / "bundle.json").read_text()) | changes
    manifest["manifest_sha256"] = manifest_digest(manifest)
    (path / "bundle.json").write_text(json.dumps(manifest))


def test_the_shipped_bundle_passes_its_self_test(bundle_path):
    """The shipped bundle passes its self-test on this machine, and has a name and labels."""
    bundle, _ = open_bundle(bundle_path)
    assert len(bundle.labels) == 10
    assert str(bundle).startswith("urbansound8k@")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 0.999])
def test_one_flipped_byte_is_refused(copy, name, place):
    """One changed byte, anywhere in any file, is detected, and the error contains the file's name."""
    file = copy / name
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 0x01
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"bundle refused: .*{name}"):
        open_bundle(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy, name):
    """The error for a missing file contains its name."""
    (copy / name).unlink()
    with pytest.raises(ConfigError, match=rf"bundle refused: .*{name}"):
        open_bundle(copy)


def test_a_missing_folder_is_reported(tmp_path):
    """A missing bundle is one clear error with the setting to change."""
    with pytest.raises(ConfigError, match=r"no bundle at .*nowhere.*model\.bundle"):
        load_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 3}, "format_version is '3', this Earshot reads 1 and 2"),
        ({"format_version": 2}, "networks: Field required"),
        ({"labels": ["a", "a"]}, "twice"),
        ({"labels": ["a/b"]}, "cannot name an MQTT topic"),
        ({"labels": [UNKNOWN]}, "cannot name an MQTT topic"),
        ({"thresholds": {}}, "thresholds must name each label"),
        ({"surprise": 1}, "surprise"),
        ({"calibration": {"temperature": 0}}, "calibration.temperature"),
    ],
)
def test_an_inconsistent_manifest_is_refused(copy, changes, message):
    """An inconsistent manifest is refused, even with correct hashes."""
    rewrite(copy, **changes)
    with pytest.raises(ConfigError, match=message):
        load_bundle(copy)


def test_another_feature_config_fails_the_golden_test(copy):
    """The golden log-mels detect features that differ from those of training."""
    features = json.loads((copy / "bundle.json").read_text())["features"]
    rewrite(copy, features=features | {"top_db": features["top_db"] - 20})
    with pytest.raises(ConfigError, match="log-mel of golden window"):
        open_bundle(copy)


def test_another_network_fails_the_golden_test(format_1_path):
    """A network that computes other scores, or NaN, is refused."""
    bundle = load_bundle(format_1_path)
    for wrong in (np.nan, 0.1):
        scores = np.full(len(bundle.labels) + 1, wrong, np.float32)
        with pytest.raises(ConfigError, match="scores of golden window"):
            self_test(bundle, {"inception": FakeNetwork(bundle.manifest.first, lambda _, scores=scores: scores)})


@pytest.mark.parametrize(
    ("scores", "output", "minimum", "decision"),
    [
        ([0.6, 0.4], False, 0.0, "low"),
        ([0.4, 0.6], False, 0.0, "high"),
        ([0.5, 0.4], False, 0.55, UNKNOWN),
        ([0.3, 0.2], True, 0.0, UNKNOWN),
        ([0.6, 0.1], True, 0.0, "low"),
    ],
)
def test_the_rule_for_unknown(scores, output, minimum, decision):
    """The decision is `unknown` if the best score is below the minimum or below the probability of `unknown`."""
    bundle = make_bundle(FeatureConfig())
    unknown = bundle.manifest.unknown.model_copy(update={"output": output, "min_confidence": minimum})
    scorer = Scorer(bundle.manifest.model_copy(update={"unknown": unknown}))
    assert scorer.decide(np.array(scores, np.float32)) == decision


def test_a_network_for_other_features_is_refused(copy):
    """A network with another input shape is refused, even if manifest and golden values agree."""
    features = FeatureConfig(mel_bands=64)
    waveforms = np.zeros((1, features.window_length), np.int16)
    log_mels = np.stack([log_mel(waveform, features) for waveform in waveforms])
    np.savez(copy / "golden.npz", waveforms=waveforms, log_mels=log_mels, scores=np.zeros((1, 10), np.float32))
    golden_sha256 = hashlib.sha256((copy / "golden.npz").read_bytes()).hexdigest()
    rewrite(copy, features=asdict(features), golden_sha256=golden_sha256)
    with pytest.raises(ConfigError, match=r"model\.tflite: it takes log-mels of shape \(128, \d+\)"):
        open_bundle(copy)


def test_without_an_output_for_unknown_live_scores_equal_scores(copy):
    """Without an output for `unknown`, the scores lack only rounding errors to 1; odds do not multiply these."""
    manifest = json.loads((copy / "bundle.json").read_text())
    rewrite(copy, unknown={**manifest["unknown"], "output": False, "live_odds": 1000.0})
    scores = np.array([[0.59999, 0.39999, *[1e-6] * 8]], np.float32)
    assert np.allclose(make_scorer(copy).live_scores(scores), scores, atol=1e-4)


def make_scorer(folder):
    return Scorer(load_bundle(folder).manifest)


def equal_label_odds(copy):
    """Return the bundle's thresholds with equal odds for all labels."""
    thresholds = json.loads((copy / "bundle.json").read_text())["thresholds"]
    return {label: {**each, "live_odds": 1.0} for label, each in thresholds.items()}


def test_a_faint_sound_needs_more_evidence(copy):
    """Each dB below `clear_db` multiplies the odds of `unknown`; above it, the odds stay."""
    unknown = json.loads((copy / "bundle.json").read_text())["unknown"]
    unknown = {**unknown, "live_odds": 4.0, "clear_db": 10.0, "faint_odds": 2.0}
    rewrite(copy, unknown=unknown, thresholds=equal_label_odds(copy))
    scorer, scores = make_scorer(copy), np.array([[0.8, *[0.0] * 9]], np.float32)
    assert scorer.live_scores(scores)[0] == pytest.approx(0.8 / (0.8 + 4 * 0.2), abs=1e-3)
    assert scorer.live_scores(scores, rise_db=15.0)[0] == scorer.live_scores(scores)[0]
    assert scorer.live_scores(scores, rise_db=7.0)[0] == pytest.approx(0.8 / (0.8 + 2**3 * 4 * 0.2), abs=1e-3)


def test_the_odds_of_a_label_apply_where_it_is_the_likeliest(copy):
    """A label's factor multiplies the odds of `unknown` only if this label is the likeliest."""
    thresholds = equal_label_odds(copy)
    first, second = json.loads((copy / "bundle.json").read_text())["labels"][:2]
    thresholds[first]["live_odds"] = 8.0
    rewrite(copy, thresholds=thresholds, unknown={"output": True, "min_confidence": 0.0, "live_odds": 2.0})
    scorer = make_scorer(copy)
    assert scorer.labels[:2] == (first, second)
    rest = [0.0] * 8
    assert scorer.live_scores(np.array([[0.8, 0.0, *rest]], np.float32))[0] == pytest.approx(
        0.8 / (0.8 + 16 * 0.2), abs=1e-3
    )
    assert scorer.live_scores(np.array([[0.0, 0.8, *rest]], np.float32))[1] == pytest.approx(
        0.8 / (0.8 + 2 * 0.2), abs=1e-3
    )


def test_extreme_odds_give_finite_scores(copy):
    """The largest odds that a bundle may contain give finite scores, not NaN."""
    unknown = json.loads((copy / "bundle.json").read_text())["unknown"]
    rewrite(copy, unknown={**unknown, "live_odds": 1e30, "clear_db": 100.0, "faint_odds": 2.0})
    scores = make_scorer(copy).live_scores(np.array([[1.0, *[0.0] * 9]] * 3, np.float32), 1.5, rise_db=-200.0)
    assert np.isfinite(scores).all()


def test_the_light_bundle_computes_its_golden_values(light_bundle_path):
    """The light bundle passes its self-test on this machine, has the same labels, and contains the MIT licence."""
    bundle, ensemble = open_bundle(light_bundle_path)
    assert list(ensemble.networks) == ["audioset"]
    assert bundle.labels == load_bundle(light_bundle_path.with_name("urbansound8k")).labels
    card = (light_bundle_path / "MODEL_CARD.md").read_text()
    assert "MIT License, Copyright (c) 2022 Florian Schmid" in card
