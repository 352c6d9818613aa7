"""Fine-tuning of the backbone's later blocks."""

import numpy as np

from training.fitting.fine_tuning import (
    FineTuneConfig,
    TrainingWindows,
    best_epoch,
    fine_tune,
    fine_tune_with_validation,
)
from training.fitting.head_trainer import label_indices
from training.models.head import LOGITS


def test_fine_tuning_runs_and_is_used_only_if_it_helps(trained, load_inception):
    """Each validation fold is measured after every epoch; without an improvement the result is None."""
    config = FineTuneConfig(epochs=1, rate=1e-4, frozen_up_to="mixed0", batch=16)
    started = []

    def start(validation):
        started.append(validation)
        return load_inception(trained, "fold-1")[2]

    tuned, curves = fine_tune_with_validation(
        trained.dataset,
        TrainingWindows(trained.data.inception.parts, label_indices(trained.dataset)),
        1,
        start,
        config,
        0,
    )
    assert [len(curve) for curve in curves] == [2, 2]
    assert (tuned is None) == (best_epoch(curves) == 0)
    assert started[:2] == [3, 10]
    assert started[2:] == ([] if tuned is None else [None])


def test_a_step_of_fine_tuning_lowers_the_loss_and_keeps_the_statistics(trained, load_inception):
    """The head changes, and batch normalization keeps the statistics of ImageNet."""
    network = load_inception(trained, "all")[2]
    normalisation = next(layer for layer in network.layers if "batch_normalization" in layer.name)
    before = [
        np.array(weights) for weights in (normalisation.get_weights()[1], network.get_layer(LOGITS).get_weights()[0])
    ]
    clips = np.arange(24)
    config = FineTuneConfig(epochs=1, rate=1e-3, frozen_up_to="mixed0", batch=8)
    curve = fine_tune(
        network, TrainingWindows(trained.data.inception.parts, label_indices(trained.dataset)), clips, clips, config, 0
    )
    assert np.array_equal(before[0], normalisation.get_weights()[1])
    assert not np.array_equal(before[1], network.get_layer(LOGITS).get_weights()[0])
    assert curve[1] >= curve[0] - 0.2


def test_best_epoch_prefers_no_tuning_among_equals():
    """The earliest of equally good epochs is chosen; 0 means the linear head."""
    assert best_epoch([[0.7, 0.7], [0.7, 0.7]]) == 0
    assert best_epoch([[0.7, 0.8, 0.75], [0.7, 0.7, 0.7]]) == 1
