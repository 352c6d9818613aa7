"""The backbone: the first blocks of a network that knows pictures, Inception V3 by default, pooled over the window.

Middle layers, not the last: what ImageNet taught the last layers is objects; what it taught the middle ones is
texture, which is what a spectrogram has.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from device.errors import ConfigError, InputError, UnavailableError
from training.data.array_cache import file_digest
from training.models.tf import import_tensorflow

BACKBONES = {
    "InceptionV3": ("mixed1", "mixed2", "mixed3", "mixed4", "mixed5", "mixed6"),
    "MobileNetV2": ("block_3_expand_relu", "block_6_expand_relu", "block_10_expand_relu", "block_13_expand_relu"),
    "MobileNetV3Small": tuple(f"expanded_conv_{number}_expand_bn" for number in (2, 4, 5, 7, 8)),
}
"""Networks of keras.applications, and which of their layers' outputs are pooled unless told otherwise: the widest of
the middle ones. The smaller two are for a Pi Zero 2 W."""
UNSUPPORTED_LAYER = "mixed10"
"""Cannot be pooled: Google's Inception V3 of 2015 pools by maximum inside it and Keras's by average, so there the
weights would decide what the layer has to be."""


@dataclass(frozen=True)
class BackboneConfig:
    """Which part of which backbone is used."""

    weights: str = "imagenet"
    """`imagenet` (Keras downloads its own, once), `random`, or the path of a file: of Keras, without top, or of
    `save_weights`. Or of a folder of `earshot-train adapt`, with a file for each fold: see `without`."""
    layers: tuple[str, ...] = ()
    """Whose outputs are pooled; none takes those of `BACKBONES`."""
    name: str = "InceptionV3"
    """One of `BACKBONES`."""

    @property
    def pooled(self) -> tuple[str, ...]:
        """Names of the layers that are pooled."""
        return self.layers or BACKBONES[self.name]

    def for_test_fold(self, fold: int | None) -> "BackboneConfig":
        """The one for a network that is tested on a fold, or, for None, on none.

        Weights that heard a fold's clips, if only without their labels, must not be tested on it. So a folder of
        weights has a file for each fold, taught without it, and one taught on all.
        """
        folder = Path(self.weights)
        return replace(self, weights=str(folder / f"{fold_weights_name(fold)}.npz")) if folder.is_dir() else self

    def key(self) -> dict[str, object]:
        """What the backbone's outputs depend on: the content of the weights, not their place."""
        named = self.weights in ("imagenet", "random")
        content = f"{self.weights} of {self.name}" if named else file_digest(_weights_file(self.weights))
        return {"weights": content, "layers": list(self.pooled)}


def fold_weights_name(fold: int | None) -> str:
    """Name, in a folder of weights and without its suffix, of the file that was taught without a fold."""
    return "backbone" if fold is None else f"fold-{fold}"


def build_backbone(config: BackboneConfig, shape: tuple[int, int]) -> Any:
    """Keras model: log-mels (n, mel_bands, frames, 1) -> for each layer its mean and its maximum over the window.

    A log-mel is grey: the first convolution's three input channels would see the same, so their kernels are
    summed into one, which computes the same with a third of the work.

    Args:
        config: which layers, whose weights.
        shape: (mel_bands, frames), each at least 75.

    Returns:
        A model with two outputs a layer, mean and maximum, each (n, 1, 1, channels).

    Raises:
        InputError: the weights file is missing or holds something else.
        ConfigError: an unknown backbone or layer.
        UnavailableError: no TensorFlow.
    """
    keras = import_tensorflow().keras
    if config.name not in BACKBONES:
        raise ConfigError(f"backbone is {config.name}, must be one of {', '.join(BACKBONES)}")
    grayscale = _build(config, (*shape, 1))
    layers = {layer.name for layer in grayscale.layers} - {UNSUPPORTED_LAYER}
    if unknown := set(config.pooled) - layers:
        raise ConfigError(
            f"{config.name} has no layer {', '.join(sorted(unknown))} to pool; it has, among others, "
            f"{', '.join(BACKBONES[config.name])}"
        )
    rgb = load_rgb_backbone(config, shape)
    grayscale.set_weights(
        [
            kernel.sum(axis=2, keepdims=True) if kernel.shape != target.shape else kernel
            for kernel, target in zip(rgb.get_weights(), grayscale.get_weights(), strict=True)
        ]
    )
    outputs = []
    for layer in config.pooled:
        output = grayscale.get_layer(layer).output
        outputs.append(keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{layer}_mean")(output))
        outputs.append(keras.layers.GlobalMaxPooling2D(keepdims=True, name=f"{layer}_max")(output))
    return keras.Model(grayscale.input, outputs, name="backbone")


def load_rgb_backbone(config: BackboneConfig, shape: tuple[int, int]) -> Any:
    """The whole backbone, without top, as keras.applications makes it: with three input channels.

    Raises:
        InputError: the weights file is missing or holds something else.
        UnavailableError: the ImageNet weights could not be downloaded.
    """
    if config.weights == "random":
        import_tensorflow().keras.utils.set_random_seed(0)  # one draw, for whoever builds the backbone again
        return _build(config, (*shape, 3))
    if config.weights == "imagenet":
        try:
            return _build(config, (*shape, 3), "imagenet")
        except Exception as error:
            if "URL fetch failure" not in str(error):  # Keras raises a bare Exception for it
                raise
            raise UnavailableError(
                "the ImageNet weights could not be downloaded. Connect to the internet, or set --weights to a file"
            ) from error
    model = _build(config, (*shape, 3))
    path = _weights_file(config.weights)
    try:
        if path.suffix == ".npz":
            _load_first_layers(model, path)
        else:
            model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path}: not weights of {config.name} without top ({first_line}). Set --weights to such a file"
        ) from error
    return model


def save_weights(model: Any, last_layer: str, path: Path) -> None:
    """Write the weights up to a layer, float16: what a backbone that ends there needs, a sixth of Keras's file."""
    weights = [array.astype(np.float16) for layer in _layers_up_to(model, last_layer) for array in layer.get_weights()]
    np.savez(path, last_layer=last_layer, **{f"{number:03}": array for number, array in enumerate(weights)})


def _build(config: BackboneConfig, shape: tuple[int, int, int], weights: str | None = None) -> Any:
    """A backbone of keras.applications that takes values in [-1, 1], as all three do once asked to."""
    options = {"include_preprocessing": False} if config.name == "MobileNetV3Small" else {}
    make = getattr(import_tensorflow().keras.applications, config.name)
    return make(include_top=False, weights=weights, input_shape=shape, **options)


def _load_first_layers(model: Any, path: Path) -> None:
    """Load what `save_weights` wrote; later layers keep their random weights.

    Raises:
        ValueError: the file is of another network.
    """
    with np.load(path, allow_pickle=False) as stored:
        arrays = [stored[name].astype(np.float32) for name in sorted(stored.files) if name != "last_layer"]
        layers = _layers_up_to(model, str(stored["last_layer"]))
    for layer in layers:
        count = len(layer.weights)
        layer.set_weights(arrays[:count])
        arrays = arrays[count:]


def _layers_up_to(model: Any, last_layer: str) -> list[Any]:
    """Layers in their order, which in Keras is that of depth, to one that all earlier ones lead to."""
    names = [layer.name for layer in model.layers]
    return list(model.layers[: names.index(last_layer) + 1])


def _weights_file(weights: str) -> Path:
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"no weights at {path}. Set --weights to `imagenet` or to a weights file of Keras")
    return path
