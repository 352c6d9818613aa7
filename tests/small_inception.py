"""Small Inception: the first blocks of Inception V3 with fewer channels and branches, for tests of other parts."""

from training.models.backbone import BACKBONES, BackboneConfig
from training.models.tf import import_tensorflow

NAME = "SmallInception"


def register(monkeypatch):
    """Add the network to `BACKBONES` and keras.applications."""
    monkeypatch.setattr(import_tensorflow().keras.applications, NAME, small_inception, raising=False)
    monkeypatch.setitem(BACKBONES, NAME, ("mixed0", "mixed1"))


def make_registered(make):
    """Add the network on a worker of another process, and return what `make` makes there."""
    import_tensorflow().keras.applications.SmallInception = small_inception
    BACKBONES[NAME] = ("mixed0", "mixed1")
    return make()


def configure(*layers, weights="random"):
    """Return the configuration of a small Inception that pools some layers."""
    return BackboneConfig(weights, layers, NAME)


def small_inception(include_top, weights, input_shape):
    """Build the network, with layers of the same kinds and names as in keras.applications.InceptionV3.

    The stem has five convolutions and two poolings, each block three branches. Inception V3 itself takes seconds to
    build and half a minute to convert.
    """
    assert not include_top
    assert weights is None
    keras = import_tensorflow().keras
    layers = keras.layers
    picture = keras.Input(input_shape)
    stem = _convolution(picture, 8, 3, strides=2, padding="valid")
    stem = _convolution(_convolution(stem, 8, 3, padding="valid"), 16, 3)
    stem = layers.MaxPooling2D(3, 2)(stem)
    stem = _convolution(_convolution(stem, 20, 1, padding="valid"), 32, 3, padding="valid")
    block = layers.MaxPooling2D(3, 2)(stem)
    for number in range(2):
        wide = _convolution(_convolution(block, 24, 1), 32, 3)
        pooled = _convolution(layers.AveragePooling2D(3, 1, "same")(block), 16 + 8 * number, 1)
        block = layers.Concatenate(name=f"mixed{number}")([_convolution(block, 24, 1), wide, pooled])
    return keras.Model(picture, block, name="small_inception")


def _convolution(tensor, filters, size, strides=1, padding="same"):
    """Return a convolution without bias, its normalization without gain, and ReLU."""
    layers = import_tensorflow().keras.layers
    convolved = layers.Conv2D(filters, size, strides, padding, use_bias=False)(tensor)
    return layers.Activation("relu")(layers.BatchNormalization(scale=False)(convolved))
