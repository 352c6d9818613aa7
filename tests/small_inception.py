"""Small Inception: the first blocks of Inception V3 at an eighth of their width, for tests of other parts."""

from training.models.backbone import BACKBONES, BackboneConfig
from training.models.tf import import_tensorflow

NAME = "SmallInception"


def register(monkeypatch):
    """Add the network to `BACKBONES` and keras.applications."""
    monkeypatch.setattr(import_tensorflow().keras.applications, NAME, small_inception, raising=False)
    monkeypatch.setitem(BACKBONES, NAME, ("mixed0", "mixed1"))


def configure(*layers, weights="random"):
    """Return the configuration of a small Inception that pools some layers."""
    return BackboneConfig(weights, layers, NAME)


def small_inception(include_top, weights, input_shape):
    """Build the network, with layers of the same kinds, order and names as in keras.applications.InceptionV3.

    The stem has five convolutions and two poolings, each block four branches. InceptionV3 itself takes seconds to build
    and half a minute to convert.
    """
    assert not include_top
    assert weights is None
    keras = import_tensorflow().keras
    layers = keras.layers
    picture = keras.Input(input_shape)
    stem = _convolution(picture, 4, 3, strides=2, padding="valid")
    stem = _convolution(_convolution(stem, 4, 3, padding="valid"), 8, 3)
    stem = layers.MaxPooling2D(3, 2)(stem)
    stem = _convolution(_convolution(stem, 10, 1, padding="valid"), 24, 3, padding="valid")
    block = layers.MaxPooling2D(3, 2)(stem)
    for number in range(2):
        block = layers.Concatenate(name=f"mixed{number}")(
            [
                _convolution(block, 8, 1),
                _convolution(_convolution(block, 6, 1), 8, 5),
                _convolution(_convolution(_convolution(block, 8, 1), 12, 3), 12, 3),
                _convolution(layers.AveragePooling2D(3, 1, "same")(block), 4 + 4 * number, 1),
            ]
        )
    return keras.Model(picture, block, name="small_inception")


def _convolution(tensor, filters, size, strides=1, padding="same"):
    """Return a convolution without bias, its normalization without gain, and ReLU."""
    layers = import_tensorflow().keras.layers
    convolved = layers.Conv2D(filters, size, strides, padding, use_bias=False)(tensor)
    return layers.Activation("relu")(layers.BatchNormalization(scale=False)(convolved))
