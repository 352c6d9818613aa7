import numpy as np
import pytest

from training.models.backbone import BackboneConfig, build_backbone
from training.models.head import Head, attach_head, predict
from training.models.tf import tensorflow
from training.quantization.channel_equalization import equalize
from training.quantization.feature_noise import rounding_errors
from training.quantization.tflite import int8_outputs, quantize

SHAPE = (75, 79)


def test_head_in_the_network_is_the_head_on_features():
    """Standardising and weighting inside the network gives the logits that were fitted on cached features."""
    backbone = build_backbone(BackboneConfig("random", ("mixed0", "mixed1")), SHAPE)
    log_mels = np.random.default_rng(0).uniform(-1, 1, (3, *SHAPE)).astype(np.float32)
    features = np.concatenate([np.reshape(part, (3, -1)) for part in backbone(log_mels[..., None])], axis=1)
    rng = np.random.default_rng(1)
    head = Head(
        features.mean(axis=0),
        features.std(axis=0) + 1e-3,
        rng.normal(size=(features.shape[1], 4)).astype(np.float32),
        rng.normal(size=4).astype(np.float32),
    )
    assert predict(attach_head(backbone, head), log_mels) == pytest.approx(head(features), rel=1e-3, abs=1e-3)


def test_equalizing_changes_ranges_and_nothing_else():
    """Channels of one layer come closer in range, and the network still computes the same logits."""
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
    mixed = tensorflow().keras.Model(network.input, network.get_layer("mixed1").output)

    def unevenness():
        ranges = np.max(mixed(log_mels[..., None]), axis=(0, 1, 2))
        return float(np.std(np.log(ranges[ranges > 0.01 * ranges.max()])))  # others are dead, or at the largest factor

    before, uneven = predict(network, log_mels), unevenness()
    equalize(network, log_mels)
    assert predict(network, log_mels) == pytest.approx(before, rel=1e-3, abs=1e-3)
    assert unevenness() < 0.7 * uneven


def test_rounding_errors_are_what_int8_adds_to_features():
    """They are about 0, and small beside what the features tell."""
    backbone = build_backbone(BackboneConfig("random", ("mixed0", "mixed1")), SHAPE)
    log_mels = np.random.default_rng(0).uniform(-1, 1, (40, *SHAPE)).astype(np.float32)
    log_mels *= np.linspace(0.1, 1.0, 40, dtype=np.float32)[:, np.newaxis, np.newaxis]
    features = np.concatenate([np.reshape(part, (40, -1)) for part in backbone(log_mels[..., None])], axis=1)
    errors = rounding_errors(backbone, log_mels, features.astype(np.float16))
    assert errors.shape == features.shape
    assert np.abs(errors.mean(axis=0)).max() < 1e-5
    assert 0.0 < np.median(errors.std(axis=0) / (features.std(axis=0) + 0.02)) < 0.3


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
def test_smaller_backbones_become_int8_too(name):
    """The ones for a Pi Zero 2 W are pooled and quantized by the same code, and decide like their float parents."""
    backbone = build_backbone(BackboneConfig("random", name=name), SHAPE)
    size = sum(part.shape[-1] for part in backbone.outputs)
    rng = np.random.default_rng(0)
    log_mels = rng.uniform(-1, 1, (12, *SHAPE)).astype(np.float32)
    features = np.concatenate([np.ravel(part) for part in backbone(log_mels[..., None])])
    ones, weights = np.ones(size, np.float32), rng.normal(size=(size, 3)).astype(np.float32)
    # One scale for all features: those of a random backbone hardly differ from window to window.
    network = attach_head(
        backbone, Head(features.mean() * ones, features.std() * ones, weights, np.zeros(3, np.float32))
    )
    exact = predict(network, log_mels)
    quantized = int8_outputs(quantize(network, log_mels, exact), log_mels)
    assert predict(network, log_mels) == pytest.approx(exact, rel=1e-3, abs=1e-3)
    assert np.abs(exact - quantized).max() < 0.1 * np.ptp(exact)
