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


def test_the_chain_learns_what_sounds(trained):
    """Clicks, hiss and tones of recordings that it never heard are told apart, even on a random backbone."""
    evaluation = json.loads((trained.output / "evaluation.json").read_text())
    assert set(evaluation["folds"]) == {"1", "3", "10"}
    assert evaluation["mean"]["int8"] > 0.8
    assert evaluation["pooled"]["agreement"] > 0.9
    assert evaluation["pooled"]["clips"] == 54
    assert evaluation["pooled"]["negatives"] == 9


def test_a_second_run_computes_nothing_anew(trained, monkeypatch):
    """Spectrograms and features come from the cache: a killed run resumes after its last finished step."""

    def refuse(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr("training.fitting.backbone_features.extract_features", refuse)
    monkeypatch.setattr("training.data.spectrograms.read_samples", refuse)
    again = Run(trained.dataset, trained.config, trained.output, "")
    assert len(again.data.examples.clip) == len(trained.data.examples.clip)


def test_same_seed_same_features(trained, tmp_path):
    """Another folder, the same clips and seed: the same features to the last bit; another seed, other copies."""
    other = Run(trained.dataset, trained.config, tmp_path, "")
    assert np.array_equal(other.data.examples.features, trained.data.examples.features)
    reseeded = replace(trained.config, spectrograms=replace(trained.config.spectrograms, seed=1))
    parts = Run(trained.dataset, reseeded, tmp_path, "").data.parts
    assert np.array_equal(parts[0].quantized, trained.data.parts[0].quantized)
    assert not np.array_equal(parts[1].quantized, trained.data.parts[1].quantized)


def test_a_fold_is_judged_by_what_its_network_says(trained):
    """The float logits of a test fold's windows come from features that were kept, and are the network's own."""
    network, keras = trained._load("fold-3")
    drawn = trained.data.fold_windows(3)
    fold = [number for number, clip in enumerate(trained.dataset.clips) if clip.fold == 3]
    assert set(trained.data.parts[0].clip[drawn.rows]) == set(fold)
    assert trained._logits(network, keras, drawn) == pytest.approx(predict_logits(keras, drawn.log_mels), abs=0.05)


def test_thresholds_come_from_ambience(trained):
    """Each label has a threshold within the candidates and says what it costs."""
    network = json.loads((trained.output / "networks" / "all" / "network.json").read_text())
    for threshold in network["thresholds"].values():
        assert THRESHOLD_CANDIDATES[0] <= threshold["threshold"] <= THRESHOLD_CANDIDATES[-1]
        assert threshold["false_alarms_per_hour"] >= 0


def test_steps_out_of_order_are_one_clear_line(trained, tmp_path):
    """Evaluating or exporting before training says what to run first."""
    run = Run(trained.dataset, trained.config, tmp_path, "")
    with pytest.raises(ConfigError, match="earshot-train train"):
        run.evaluate()
    with pytest.raises(ConfigError, match="earshot-train evaluate"):
        run.export("tiny", "1")


def test_training_leaves_curves_for_tensorboard(trained):
    """Each network that was trained has a run of its own in TensorBoard."""
    runs = {path.parent.name for path in (trained.output / "summaries").rglob("events.*")}
    assert runs == {"fold-1", "fold-3", "fold-10", "all"}


def test_the_random_protocol_says_that_it_leaks_and_never_ships(trained, monkeypatch):
    """It is evaluated apart, beside the honest figures, tells so in every report, and cannot be exported."""
    monkeypatch.setattr("training.data.dataset.DEFAULT_FOLD_COUNT", 3)  # time
    honest = (trained.output / "evaluation.json").read_text()
    leaky = trained.with_random_split()
    leaky.train()
    evaluation = leaky.evaluate()
    assert evaluation["leaks"]
    assert "IT LEAKS" in summary(evaluation)
    assert "IT LEAKS" in (trained.output / "random" / "report.html").read_text()
    assert (trained.output / "evaluation.json").read_text() == honest
    with pytest.raises(ConfigError, match="leaks"):
        leaky.export("leaky", "1")
