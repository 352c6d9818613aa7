"""Backbones and their weights."""

import numpy as np
import pytest

from device.errors import ConfigError, InputError
from training.models.backbone import BackboneConfig, build_backbone, load_rgb_backbone, save_weights
from training.models.tf import import_tensorflow

SHAPE = (75, 79)


def test_one_channel_computes_the_same_as_three_equal_ones(tmp_path):
    """Kernels summed over the channels compute the same as three copies of the log-mel."""
    keras = import_tensorflow().keras
    keras.utils.set_random_seed(5)
    rgb = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(*SHAPE, 3))
    path = tmp_path / "rgb.weights.h5"
    rgb.save_weights(path)
    grayscale = build_backbone(BackboneConfig(str(path), ("mixed2",)), SHAPE)
    log_mels = np.random.default_rng(0).uniform(-1, 1, (2, *SHAPE, 1)).astype(np.float32)
    expected = keras.Model(rgb.input, rgb.get_layer("mixed2").output)(np.repeat(log_mels, 3, axis=3))
    mean, largest = grayscale(log_mels)
    assert np.reshape(mean, (2, -1)) == pytest.approx(np.mean(expected, axis=(1, 2)), rel=1e-3, abs=1e-5)
    assert np.reshape(largest, (2, -1)) == pytest.approx(np.max(expected, axis=(1, 2)), rel=1e-3, abs=1e-5)


def test_bad_weights_are_one_clear_line(tmp_path):
    """Missing or invalid weights are one line with the path and the cure."""
    with pytest.raises(InputError, match="no weights at"):
        build_backbone(BackboneConfig(str(tmp_path / "none.h5"), ("mixed0",)), SHAPE)
    other = tmp_path / "other.weights.h5"
    other.write_bytes(b"no HDF5")
    with pytest.raises(InputError, match=r"not weights of InceptionV3") as caught:
        build_backbone(BackboneConfig(str(other), ("mixed0",)), SHAPE)
    assert "\n" not in str(caught.value)


def test_unknown_layers_are_refused():
    """`mixed10` is refused, because its output would depend on the origin of the weights."""
    with pytest.raises(ConfigError, match="mixed10"):
        build_backbone(BackboneConfig("random", ("mixed10",)), SHAPE)


def test_unknown_backbone_is_refused():
    """An unknown backbone is refused with the names of the known ones."""
    with pytest.raises(ConfigError, match="MobileNetV2"):
        build_backbone(BackboneConfig("random", name="VGG16"), SHAPE)


def test_weights_are_saved_and_loaded(tmp_path):
    """Weights are the same after saving and loading, within half precision."""
    start = BackboneConfig("random", ("mixed0",))
    model = load_rgb_backbone(start, SHAPE)
    for layer in model.layers[:40]:
        layer.set_weights([array + 0.01 for array in layer.get_weights()])
    save_weights(model, "mixed0", tmp_path / "w.npz")
    back = load_rgb_backbone(BackboneConfig(str(tmp_path / "w.npz"), ("mixed0",)), SHAPE)
    end = [layer.name for layer in model.layers].index("mixed0")
    for ours, theirs in zip(model.layers[: end + 1], back.layers[: end + 1], strict=True):
        for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_weights_of_another_network_are_refused(tmp_path):
    """A file of another network is an error with its name, without a traceback."""
    np.savez(tmp_path / "other.npz", **{"last_layer": "mixed0", "000": np.zeros((3, 3, 1, 8), np.float16)})
    with pytest.raises(InputError, match=r"other\.npz"):
        load_rgb_backbone(BackboneConfig(str(tmp_path / "other.npz"), ("mixed0",)), SHAPE)
