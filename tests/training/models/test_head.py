"""The linear head, in Keras and on cached features."""

import numpy as np
import pytest

from training.models.backbone import build_backbone
from training.models.head import Head, attach_head, predict_logits

SHAPE = (75, 79)


def test_head_in_the_network_is_the_head_on_features(small_backbone):
    """The head in the Keras network gives the same logits as the head on cached features."""
    backbone = build_backbone(small_backbone("mixed0", "mixed1"), SHAPE)
    log_mels = np.random.default_rng(0).uniform(-1, 1, (3, *SHAPE)).astype(np.float32)
    features = np.concatenate([np.reshape(part, (3, -1)) for part in backbone(log_mels[..., None])], axis=1)
    rng = np.random.default_rng(1)
    head = Head(
        features.mean(axis=0),
        features.std(axis=0) + 1e-3,
        rng.normal(size=(features.shape[1], 4)).astype(np.float32),
        rng.normal(size=4).astype(np.float32),
    )
    assert predict_logits(attach_head(backbone, head), log_mels) == pytest.approx(head(features), rel=1e-3, abs=1e-3)
