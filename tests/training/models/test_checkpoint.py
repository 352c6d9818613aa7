"""Checkpoints of trained networks."""

import pytest

from training.models.checkpoint import load_network
from training.models.head import LOGITS, predict_logits


def test_fine_tuned_weights_are_kept_with_the_network(trained, tmp_path):
    """A network with fine-tuned weights computes the same after saving and loading."""
    network = load_network(trained.output / "networks" / "all")
    tuned = network.to_keras(trained.config.backbone, (75, 79))
    layer = tuned.get_layer(LOGITS)
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + 1.0])
    network.save(tmp_path, tuned)
    log_mels = trained.data.parts[0].log_mels(slice(0, 3))
    again = load_network(tmp_path).to_keras(trained.config.backbone, (75, 79), tmp_path)
    assert predict_logits(again, log_mels) == pytest.approx(predict_logits(tuned, log_mels), abs=1e-4)
