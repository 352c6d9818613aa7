import json
from dataclasses import replace

import numpy as np
import pytest

from device.errors import ConfigError
from training.evaluation.metrics import calibration_error
from training.evaluation.summary import summary
from training.fitting.fine_tuning import FineTuneConfig, Pool, best_epoch, fine_tune, tune
from training.fitting.head_trainer import targets
from training.fitting.thresholds import CANDIDATES
from training.models.checkpoint import load_network
from training.models.head import LOGITS, predict
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

    monkeypatch.setattr("training.fitting.backbone_features.pool", refuse)
    monkeypatch.setattr("training.data.spectrograms.read_samples", refuse)
    again = Run(trained.dataset, trained.recipe, trained.output, "")
    assert len(again.material.examples.clip) == len(trained.material.examples.clip)


def test_same_seed_same_features(trained, tmp_path):
    """Another folder, the same clips and seed: the same features to the last bit; another seed, other copies."""
    other = Run(trained.dataset, trained.recipe, tmp_path, "")
    assert np.array_equal(other.material.examples.features, trained.material.examples.features)
    reseeded = replace(trained.recipe, spectrograms=replace(trained.recipe.spectrograms, seed=1))
    parts = Run(trained.dataset, reseeded, tmp_path, "").material.parts
    assert np.array_equal(parts[0].quantized, trained.material.parts[0].quantized)
    assert not np.array_equal(parts[1].quantized, trained.material.parts[1].quantized)


def test_a_fold_is_judged_by_what_its_network_says(trained):
    """The float logits of a test fold's windows come from features that were kept, and are the network's own."""
    network, keras = trained._load("fold-3")
    drawn = trained.material.fold_windows(3)
    fold = [number for number, clip in enumerate(trained.dataset.clips) if clip.fold == 3]
    assert set(trained.material.parts[0].clip[drawn.rows]) == set(fold)
    assert trained._logits(network, keras, drawn) == pytest.approx(predict(keras, drawn.log_mels), abs=0.05)


def test_thresholds_come_from_ambience(trained):
    """Each label has a threshold within the candidates and says what it costs."""
    network = json.loads((trained.output / "networks" / "all" / "network.json").read_text())
    for threshold in network["thresholds"].values():
        assert CANDIDATES[0] <= threshold["threshold"] <= CANDIDATES[-1]
        assert threshold["false_alarms_per_hour"] >= 0


def test_fine_tuning_runs_and_is_used_only_if_it_helps(trained):
    """It trains from the fitted network, follows each validation fold, and gives nothing where that got no better."""
    network = load_network(trained.output / "networks" / "fold-1")
    config = FineTuneConfig(epochs=1, rate=1e-4, frozen_up_to="mixed0", batch=16)
    shape = trained.recipe.spectrograms.features.shape
    made = []

    def start(validation):
        made.append(validation)
        return network.keras(trained.recipe.backbone, shape)

    tuned, curves = tune(trained.dataset, Pool(trained.material.parts, targets(trained.dataset)), 1, start, config, 0)
    assert [len(curve) for curve in curves] == [2, 2]
    assert (tuned is None) == (best_epoch(curves) == 0)
    assert made[:2] == [3, 10]
    assert made[2:] == ([] if tuned is None else [None])


def test_a_step_of_fine_tuning_lowers_the_loss_and_keeps_the_statistics(trained):
    """The head moves; batch normalisation keeps ImageNet's statistics, with which alone training does not collapse."""
    network = load_network(trained.output / "networks" / "all").keras(trained.recipe.backbone, (75, 79))
    normalisation = next(layer for layer in network.layers if "batch_normalization" in layer.name)
    before = [
        np.array(weights) for weights in (normalisation.get_weights()[1], network.get_layer(LOGITS).get_weights()[0])
    ]
    clips = np.arange(24)
    config = FineTuneConfig(epochs=1, rate=1e-3, frozen_up_to="mixed0", batch=8)
    curve = fine_tune(network, Pool(trained.material.parts, targets(trained.dataset)), clips, clips, config, 0)
    assert np.array_equal(before[0], normalisation.get_weights()[1])
    assert not np.array_equal(before[1], network.get_layer(LOGITS).get_weights()[0])
    assert curve[1] >= curve[0] - 0.2


def test_fine_tuned_weights_are_kept_with_the_network(trained, tmp_path):
    """What was saved with fine-tuned weights computes the same when it is loaded again."""
    network = load_network(trained.output / "networks" / "all")
    tuned = network.keras(trained.recipe.backbone, (75, 79))
    layer = tuned.get_layer(LOGITS)
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + 1.0])
    network.save(tmp_path, tuned)
    log_mels = trained.material.parts[0].log_mels(slice(0, 3))
    again = load_network(tmp_path).keras(trained.recipe.backbone, (75, 79), tmp_path)
    assert predict(again, log_mels) == pytest.approx(predict(tuned, log_mels), abs=1e-4)


def test_best_epoch_prefers_no_tuning_among_equals():
    """The earliest of equally good epochs is taken; 0 means the linear head."""
    assert best_epoch([[0.7, 0.7], [0.7, 0.7]]) == 0
    assert best_epoch([[0.7, 0.8, 0.75], [0.7, 0.7, 0.7]]) == 1


def test_steps_out_of_order_are_one_clear_line(trained, tmp_path):
    """Evaluating or exporting before training says what to run first."""
    run = Run(trained.dataset, trained.recipe, tmp_path, "")
    with pytest.raises(ConfigError, match="earshot-train train"):
        run.evaluate()
    with pytest.raises(ConfigError, match="earshot-train evaluate"):
        run.export("tiny", "1")


def test_calibration_error_of_known_scores():
    """Scores of 0.8 that are right half of the time are off by 0.3."""
    scores = np.tile(np.array([[0.8, 0.2]], np.float32), (10, 1))
    assert calibration_error(scores, np.array([0, 1] * 5)) == pytest.approx(0.3, abs=1e-3)


def test_training_leaves_curves_for_tensorboard(trained):
    """Each network that was trained has a run of its own in TensorBoard."""
    runs = {path.parent.name for path in (trained.output / "summaries").rglob("events.*")}
    assert runs == {"fold-1", "fold-3", "fold-10", "all"}


def test_the_random_protocol_says_that_it_leaks_and_never_ships(trained, monkeypatch):
    """It is evaluated apart, beside the honest figures, tells so in every report, and cannot be exported."""
    monkeypatch.setattr("training.data.dataset.OWN_FOLDS", 3)  # time
    honest = (trained.output / "evaluation.json").read_text()
    leaky = trained.at_random()
    leaky.train()
    evaluation = leaky.evaluate()
    assert evaluation["leaks"]
    assert "IT LEAKS" in summary(evaluation)
    assert "IT LEAKS" in (trained.output / "random" / "report.html").read_text()
    assert (trained.output / "evaluation.json").read_text() == honest
    with pytest.raises(ConfigError, match="leaks"):
        leaky.export("leaky", "1")
