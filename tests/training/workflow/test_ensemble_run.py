"""A whole run with the AudioSet network: alone, and with Inception."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from device.audio.files import read_samples
from device.errors import ConfigError
from device.model.bundle import load_bundle
from device.model.ensemble import Ensemble
from device.model.self_test import self_test
from device.types import UNKNOWN
from training.data.array_cache import Cache
from training.data.loading import load_dataset
from training.data.spectrograms import SpectrogramConfig
from training.evaluation.scenes import SceneConfig
from training.export import bundle_writer
from training.fitting.audioset_features import AudioSetConfig
from training.fitting.fine_tuning import FineTuneConfig
from training.fitting.head_trainer import HeadConfig
from training.models.checkpoint import load_ensemble
from training.workflow import audioset_kind
from training.workflow.ensemble_fitter import EnsembleFitter
from training.workflow.experiment_data import ExperimentConfig, ExperimentData
from training.workflow.run import Run


@pytest.fixture(scope="module")
def esc50(tmp_path_factory):
    """A folder like ESC-50: two hums as negatives, one of them held out, and a tone of our label."""
    folder = tmp_path_factory.mktemp("esc50")
    time = np.arange(16000) / 16000
    for name, hertz in (("engine/1-100-A-44.wav", 50), ("engine/5-101-A-44.wav", 55), ("tone/2-102-A-0.wav", 600)):
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / name, 0.3 * np.sin(2 * np.pi * hertz * time), 16000)
    return folder


@pytest.fixture(scope="module")
def dataset(urbansound8k, negatives, esc50):
    """Clicks, hiss and tones in three folds, negatives, and two clips that only train."""
    return load_dataset(urbansound8k, [negatives], also=[esc50])


@pytest.fixture(scope="module")
def config(small_features, small_backbone, audioset_weights):
    """Both networks, with one copy and one shrinkage."""
    audioset = AudioSetConfig(audioset_weights, copies=1)
    heads = {name: replace(getattr(audioset, name), shrinkages=(0.3,)) for name in ("clip_head", "live_head")}
    return ExperimentConfig(
        SpectrogramConfig(features=small_features, copies=1),
        small_backbone("mixed0"),
        HeadConfig(shrinkages=(0.3,)),
        FineTuneConfig(),
        SceneConfig(clips_per_label=1, lead_seconds=3.0, tail_seconds=1.0),
        networks=("audioset", "inception"),
        audioset=replace(audioset, **heads),
    )


@pytest.fixture(scope="module")
def pair(dataset, config, tmp_path_factory):
    """A run with both networks after all steps, with one of three test folds: each conversion takes 20 s.

    The features of a random network hardly differ between sounds, so float16 changes more decisions than it does for
    the real one.
    """
    run = Run(dataset, config, tmp_path_factory.mktemp("pair"), "earshot-train retrain --networks audioset,inception")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExperimentData, "networks", {"fold-3": 3, "all": None})
        patch.setattr(bundle_writer, "MIN_AGREEMENT", 0.6)
        run.prepare()
        run.train()
        run.evaluate()
        run.export("pair", "0.1.0")
    return run


def test_both_networks_ship_in_one_bundle(pair):
    """The bundle has format 2; the device accepts it; the AudioSet network scores every window first."""
    bundle = load_bundle(pair.output / "bundle")
    ensemble = Ensemble(bundle)
    self_test(bundle, ensemble.networks)
    manifest = bundle.manifest
    assert manifest.format_version == 2
    assert manifest.scoring.order == ("audioset", "inception")
    assert manifest.networks["audioset"].outputs == {"clip": 4, "live": 4, "audioset": 527, "embedding": 384}
    assert manifest.networks["audioset"].classes[:2] == ("Speech", "Male speech, man speaking")
    assert manifest.networks["audioset"].quantization is None
    assert manifest.networks["inception"].outputs == {"clip": 4}
    for scoring in (manifest.scoring.clip, manifest.scoring.live):
        assert sum(scoring.weights.values()) == pytest.approx(1.0)


def test_classes_are_learned_by_both(pair):
    """Clips of new recordings are classified, and float and shipped networks agree."""
    evaluation = json.loads((pair.output / "evaluation.json").read_text())
    assert set(evaluation["folds"]) == {"3"}
    assert evaluation["pooled"]["clips"] == 18
    assert evaluation["mean"]["int8"] > 0.6
    assert evaluation["pooled"]["agreement"] > 0.7


def test_float_probabilities_are_those_of_the_shipped_networks(pair):
    """For a clip of one window, the float networks and the bundle compute nearly the same."""
    trained = load_ensemble(pair.output / "networks" / "fold-3")
    clip, probabilities = pair._float_probabilities(trained, 3)
    shipped = Ensemble(load_bundle(pair.output / "folds" / "3"))
    number = int(clip[0])
    samples = np.resize(read_samples(pair.dataset.clips[number].path, 16000), 48000)
    samples[19200:] = 0  # a clip of 1.2 s is followed by zeros
    assert shipped.classify_clip(samples).scores == pytest.approx(probabilities[0, :3], abs=0.15)


def test_clips_that_only_train_test_nothing(pair, dataset):
    """Test folds contain no clip of ESC-50, and Inception is not trained on any; its fold 5 is nowhere."""
    names = [clip.path.name for clip in dataset.clips[-2:]]
    assert names == ["1-100-A-44.wav", "2-102-A-0.wav"]
    audioset, inception = pair.data.kinds
    trained = load_ensemble(pair.output / "networks" / "fold-3").networks
    assert audioset.test_logits(trained["audioset"], 3)[0].max() < len(dataset.clips) - 2
    assert len(audioset.trainers["clip"].targets) == len(inception.trainers["clip"].targets) + 2


def test_the_card_names_networks_and_licences(pair):
    """The card names both networks, the citation and licence of EfficientAT, and AudioSet's names."""
    card = (pair.output / "bundle" / "MODEL_CARD.md").read_text()
    for text in ("**audioset**", "**inception**", "MIT License, Copyright (c) 2022 Florian Schmid", "CC BY 4.0"):
        assert text in card
    assert "Permission is hereby granted" in card


def test_the_audioset_network_ships_alone(pair, config, dataset, tmp_path, monkeypatch):
    """The light bundle holds one network of format 2, trained from the same cache."""
    light = Run(dataset, replace(config, networks=("audioset",)), tmp_path, "", Cache(pair.output / "cache"))
    monkeypatch.setattr(ExperimentData, "networks", {"all": None})
    assert set(light.train()["all"]) == {"audioset"}
    # Heads of the same shape need no second conversion.
    content = (pair.output / "bundle" / "audioset.tflite").read_bytes()
    monkeypatch.setattr(audioset_kind, "build_audioset_network", lambda *_: None)
    monkeypatch.setattr(audioset_kind, "convert_float16", lambda _: content)
    monkeypatch.setattr(bundle_writer, "MIN_AGREEMENT", 0.0)
    light._export(load_ensemble(tmp_path / "networks" / "all"), tmp_path / "bundle", "1", {}, "light")
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.manifest.format_version == 2
    assert {path.name for path in bundle.path.glob("*.tflite")} == {"audioset.tflite"}
    noise = (3000 * np.random.default_rng(0).normal(size=48000)).astype(np.int16)
    assert Ensemble(bundle).classify_live(noise).audioset.shape == (527,)


def test_no_choice_depends_on_the_test_fold(pair, dataset, config, tmp_path):
    """Other labels in the test fold change nothing in the ensemble that is tested on it."""
    turned = {"clicks": "tone", "tone": "hiss", "hiss": "clicks", UNKNOWN: UNKNOWN}
    clips = tuple(replace(clip, label=turned[clip.label]) if clip.fold == 3 else clip for clip in dataset.clips)
    light = replace(config, networks=("audioset",))
    runs = [
        Run(each, light, tmp_path / str(number), "", Cache(pair.output / "cache"))
        for number, each in enumerate((dataset, replace(dataset, clips=clips)))
    ]
    first, second = (EnsembleFitter(run.data, run.data.kinds).fit(3) for run in runs)
    assert first.thresholds == second.thresholds
    assert first.live_odds == second.live_odds
    for name, head in first.networks["audioset"].heads.items():
        other = second.networks["audioset"].heads[name]
        assert head.temperature == other.temperature
        assert np.array_equal(head.head.weights, other.head.weights)


def test_a_network_without_weights_is_refused(dataset, config, tmp_path):
    """The AudioSet network without its configuration, or an unknown name, is one clear error."""
    with pytest.raises(ConfigError, match="no network audioset: choose"):
        _ = Run(dataset, replace(config, audioset=None), tmp_path, "").data.kinds
