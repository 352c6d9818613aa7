"""Conversion of float networks to int8."""

import numpy as np
import pytest

from training.models.backbone import BackboneConfig, build_backbone
from training.models.head import Head, attach_head, predict_logits
from training.quantization import tflite
from training.quantization.tflite import int8_outputs

SHAPE = (75, 79)


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
def test_smaller_backbones_are_quantized_too(name):
    """The backbones for a Pi Zero 2 W are pooled and quantized too, with logits close to the float ones."""
    backbone = build_backbone(BackboneConfig("random", name=name), SHAPE)
    size = sum(part.shape[-1] for part in backbone.outputs)
    rng = np.random.default_rng(0)
    log_mels = rng.uniform(-1, 1, (12, *SHAPE)).astype(np.float32)
    features = np.concatenate([np.ravel(part) for part in backbone(log_mels[..., None])])
    ones, weights = np.ones(size, np.float32), rng.normal(size=(size, 3)).astype(np.float32)
    # One scale for all features, because those of a random backbone hardly differ between windows.
    network = attach_head(
        backbone, Head(features.mean() * ones, features.std() * ones, weights, np.zeros(3, np.float32))
    )
    exact = predict_logits(network, log_mels)
    quantized = int8_outputs(tflite.quantize_network(network, log_mels, exact), log_mels)
    assert predict_logits(network, log_mels) == pytest.approx(exact, rel=1e-3, abs=1e-3)
    assert np.abs(exact - quantized).max() < 0.1 * np.ptp(exact)


def test_the_last_bias_corrects_the_shift(trained, load_inception):
    """The mean shift of each logit by rounding is removed, within a step, by lowering the last bias."""
    keras = load_inception(trained, "all")[2]
    windows = trained.data.inception.training_windows([1, 3, 10]).log_mels[:60]
    content = tflite.convert(keras, windows)
    mean = tflite.int8_outputs(content, windows).mean(axis=0)
    by = np.linspace(0.1, 0.3, len(mean)).astype(np.float32)
    lowered = tflite.int8_outputs(tflite.lower_last_bias(content, by), windows).mean(axis=0)
    assert mean - lowered == pytest.approx(by, abs=0.05)
