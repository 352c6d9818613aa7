"""Channel equalization."""

import numpy as np
import pytest

from training.models.backbone import BackboneConfig, build_backbone
from training.models.head import Head, attach_head, predict_logits
from training.models.tf import import_tensorflow
from training.quantization.channel_equalization import equalize

SHAPE = (75, 79)


def test_equalizing_changes_ranges_and_nothing_else():
    """Channels of one layer come closer in range, and the network computes the same logits."""
    backbone = build_backbone(BackboneConfig("random", ("mixed0", "mixed1")), SHAPE)
    size = sum(part.shape[-1] for part in backbone.outputs)
    head = Head(
        np.zeros(size, np.float32),
        np.ones(size, np.float32),
        np.random.default_rng(1).normal(size=(size, 3)).astype(np.float32),
        np.zeros(3, np.float32),
    )
    network = attach_head(backbone, head)
    log_mels = np.random.default_rng(0).uniform(-1, 1, (4, *SHAPE)).astype(np.float32)
    mixed = import_tensorflow().keras.Model(network.input, network.get_layer("mixed1").output)

    def unevenness():
        ranges = np.max(mixed(log_mels[..., None]), axis=(0, 1, 2))
        return float(
            np.std(np.log(ranges[ranges > 0.01 * ranges.max()]))
        )  # the other channels are 0, or at the largest factor

    before, uneven = predict_logits(network, log_mels), unevenness()
    equalize(network, log_mels)
    assert predict_logits(network, log_mels) == pytest.approx(before, rel=1e-3, abs=1e-3)
    assert unevenness() < 0.7 * uneven
