"""A whole run: prepare, train, evaluate, export."""

import json
from dataclasses import replace

import numpy as np
import pytest

from device.errors import ConfigError
from training.evaluation.summary import summary
from training.fitting.thresholds import THRESHOLD_CANDIDATES
from training.models.head import predict_logits
from training.workflow.run import Run


def test_classes_are_learned(trained):
    """Clicks, hiss and tones of new recordings are distinguished, even with a random backbone."""
    evaluation = json.loads((trained.output / "evaluation.json").read_text())
    assert set(evaluation["folds"]) == {"1", "3", "10"}
    assert evaluation["mean"]["int8"] > 0.8
    assert evaluation["pooled"]["agreement"] > 0.9
    assert evaluation["pooled"]["clips"] == 54
    assert evaluation["pooled"]["negatives"] == 9


def test_a_second_run_computes_nothing_anew(trained, monkeypatch):
    """Spectrograms and features come from the cache, so an interrupted run continues after its last finished step."""

    def refuse(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr("training.fitting.backbone_features.extract_features", refuse)
    monkeypatch.setattr("training.data.windows.read_samples", refuse)
    again = Run(trained.dataset, trained.config, trained.output, "")
    assert len(again.data.inception.prepare(None).clip) == len(trained.data.inception.prepare(None).clip)


def test_same_seed_same_features(trained, tmp_path):
    """Another folder with the same clips and seed gives identical features; another seed gives other copies."""
    other = Run(trained.dataset, trained.config, tmp_path, "")
    assert np.array_equal(other.data.inception.prepare(None).features, trained.data.inception.prepare(None).features)
    reseeded = replace(trained.config, spectrograms=replace(trained.config.spectrograms, seed=1))
    parts = Run(trained.dataset, reseeded, tmp_path, "").data.inception.parts
    assert np.array_equal(parts[0].quantized, trained.data.inception.parts[0].quantized)
    assert not np.array_equal(parts[1].quantized, trained.data.inception.parts[1].quantized)


def test_float_logits_of_a_fold_are_its_networks(trained, load_inception):
    """The float logits of a test fold come from cached features and equal the network's."""
    network, _, keras = load_inception(trained, "fold-3")
    drawn = trained.data.inception.fold_windows(3)
    fold = [number for number, clip in enumerate(trained.dataset.clips) if clip.fold == 3]
    clip, logits = trained.data.inception.test_logits(network, 3)
    assert set(clip) == set(fold)
    assert logits == pytest.approx(predict_logits(keras, drawn.log_mels), abs=0.05)


def test_thresholds_come_from_ambience(trained):
    """Each label has a threshold among the candidates, with its false alarm rate."""
    network = json.loads((trained.output / "networks" / "all" / "ensemble.json").read_text())
    for threshold in network["thresholds"].values():
        assert THRESHOLD_CANDIDATES[0] <= threshold["threshold"] <= THRESHOLD_CANDIDATES[-1]
        assert threshold["false_alarms_per_hour"] >= 0


def test_steps_out_of_order_are_one_clear_line(trained, tmp_path):
    """Evaluation or export without training is an error that names the missing step."""
    run = Run(trained.dataset, trained.config, tmp_path, "")
    with pytest.raises(ConfigError, match="earshot-train train"):
        run.evaluate()
    with pytest.raises(ConfigError, match="earshot-train evaluate"):
        run.export("tiny", "1")


def test_training_leaves_curves_for_tensorboard(trained):
    """Each trained network has its own run in TensorBoard."""
    runs = {path.parent.name for path in (trained.output / "summaries").rglob("events.*")}
    assert runs == {"fold-1", "fold-3", "fold-10", "all"}


def test_the_random_protocol_is_marked_and_never_ships(trained, monkeypatch):
    """A random split has its own folder, is marked in every report, and cannot be exported."""
    monkeypatch.setattr("training.data.dataset.DEFAULT_FOLD_COUNT", 3)  # time
    before = (trained.output / "evaluation.json").read_text()
    leaky = trained.with_random_split()
    leaky.train()
    evaluation = leaky.evaluate()
    assert evaluation["leaks"]
    assert "IT LEAKS" in summary(evaluation)
    assert "IT LEAKS" in (trained.output / "random" / "report.html").read_text()
    assert (trained.output / "evaluation.json").read_text() == before
    with pytest.raises(ConfigError, match="leaks"):
        leaky.export("leaky", "1")
