"""Quantization error of features."""

import numpy as np

from training.models.backbone import build_backbone
from training.quantization.feature_noise import quantization_errors

SHAPE = (75, 79)


def test_quantization_errors_are_small_and_centred(small_backbone):
    """Quantization errors have a mean of 0 and are small beside the variation of the features."""
    backbone = build_backbone(small_backbone("mixed0", "mixed1"), SHAPE)
    log_mels = np.random.default_rng(0).uniform(-1, 1, (40, *SHAPE)).astype(np.float32)
    log_mels *= np.linspace(0.1, 1.0, 40, dtype=np.float32)[:, np.newaxis, np.newaxis]
    features = np.concatenate([np.reshape(part, (40, -1)) for part in backbone(log_mels[..., None])], axis=1)
    errors = quantization_errors(backbone, log_mels, features.astype(np.float16))
    assert errors.shape == features.shape
    assert np.abs(errors.mean(axis=0)).max() < 1e-5
    assert 0.0 < np.median(errors.std(axis=0) / (features.std(axis=0) + 0.02)) < 0.3
