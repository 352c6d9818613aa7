"""Checkpoints of trained networks."""

from dataclasses import replace

import pytest

from training.models.checkpoint import load_ensemble
from training.models.head import LOGITS, predict_logits


def test_fine_tuned_weights_are_kept_with_the_network(trained, load_inception, tmp_path):
    """A network with fine-tuned weights computes the same after saving and loading."""
    network, _, tuned = load_inception(trained, "all")
    layer = tuned.get_layer(LOGITS)
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + 1.0])
    ensemble = load_ensemble(trained.output / "networks" / "all")
    replace(ensemble, networks={"inception": replace(network, tuned=tuned)}).save(tmp_path)
    log_mels = trained.data.inception.parts[0].log_mels(slice(0, 3))
    again = trained.data.inception.to_keras(load_ensemble(tmp_path).networks["inception"], None)
    assert predict_logits(again, log_mels) == pytest.approx(predict_logits(tuned, log_mels), abs=1e-4)
