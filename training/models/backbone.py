"""Backbone: the first blocks of an ImageNet network, Inception V3 by default, pooled over the window.

Middle layers are pooled, not the last: ImageNet trains the last layers on objects and the middle layers on textures,
and a spectrogram is a texture.
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
"""Networks of keras.applications, with the layers that are pooled by default: the widest of the middle layers. The
smaller two are for a Pi Zero 2 W."""
UNSUPPORTED_LAYER = "mixed10"
"""This layer cannot be pooled: Google's Inception V3 of 2015 has maximum pooling inside it and Keras's average pooling,
so the right layer would depend on the weights."""


@dataclass(frozen=True)
class BackboneConfig:
    """Network, weights and pooled layers of a backbone."""

    weights: str = "imagenet"
    """`imagenet` (Keras downloads its own, once), `random`, or the path of a file: of Keras, without top, or of
    `save_weights`. Or a folder of `earshot-train adapt`, with a file for each fold: see `for_test_fold`."""
    layers: tuple[str, ...] = ()
    """Layers with pooled outputs; empty for the default of `BACKBONES`."""
    name: str = "InceptionV3"
    """One of `BACKBONES`."""

    @property
    def pooled(self) -> tuple[str, ...]:
        """Names of the pooled layers."""
        return self.layers or BACKBONES[self.name]

    def for_test_fold(self, fold: int | None) -> "BackboneConfig":
        """Return the backbone for a network that is tested on a fold; None for the network that ships.

        Weights that were trained on a fold's clips must not be tested on that fold, even without labels. So a folder of
        weights has a file for each fold, trained without it, and one trained on all folds.
        """
        folder = Path(self.weights)
        return replace(self, weights=str(folder / f"{fold_weights_name(fold)}.npz")) if folder.is_dir() else self

    def key(self) -> dict[str, object]:
        """Return everything that the backbone's outputs depend on: the content of the weights, not their path."""
        named = self.weights in ("imagenet", "random")
        content = f"{self.weights} of {self.name}" if named else file_digest(_weights_file(self.weights))
        return {"weights": content, "layers": list(self.pooled)}


def fold_weights_name(fold: int | None) -> str:
    """Return the name, without suffix, of the weights trained without a fold; None for those of all folds."""
    return "backbone" if fold is None else f"fold-{fold}"


def build_backbone(config: BackboneConfig, shape: tuple[int, int]) -> Any:
    """Build the Keras model: log-mels (n, mel_bands, frames, 1) -> mean and maximum of each pooled layer.

    A log-mel has one channel. The first convolution would get it as three equal channels, so its kernels are summed
    into one, which computes the same with a third of the work.

    Args:
        config: network, weights and pooled layers.
        shape: (mel_bands, frames), each at least 75.

    Returns:
        A model with two outputs per layer, mean and maximum over the window, each (n, 1, 1, channels).

    Raises:
        InputError: the weights file is missing or contains other weights.
        ConfigError: an unknown backbone or layer.
        UnavailableError: TensorFlow is not installed.
    """
    keras = import_tensorflow().keras
    if config.name not in BACKBONES:
        raise ConfigError(f"backbone is {config.name}, must be one of {', '.join(BACKBONES)}")
    rgb = load_rgb_backbone(config, shape)
    grayscale = _build(config, (*shape, 1))
    layers = {layer.name for layer in grayscale.layers} - {UNSUPPORTED_LAYER}
    if unknown := set(config.pooled) - layers:
        raise ConfigError(
            f"{config.name} has no layer {', '.join(sorted(unknown))} to pool; it has among others "
            f"{', '.join(BACKBONES[config.name])}"
        )
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
    """Load the whole backbone without top, as in keras.applications, with three input channels.

    Raises:
        InputError: the weights file is missing or contains other weights.
        UnavailableError: the ImageNet weights could not be downloaded.
    """
    if config.weights == "random":
        import_tensorflow().keras.utils.set_random_seed(0)  # the same random weights each time
        return _build(config, (*shape, 3))
    if config.weights == "imagenet":
        try:
            return _build(config, (*shape, 3), "imagenet")
        except Exception as error:
            if "URL fetch failure" not in str(error):  # Keras raises a bare Exception
                raise
            raise UnavailableError(
                "the ImageNet weights could not be downloaded. Connect to the internet, or set --weights to a file"
            ) from error
    path = _weights_file(config.weights)
    model = _build(config, (*shape, 3))
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
    """Write the weights up to a layer, float16, for backbones that end there.

    The file is a sixth of the size of Keras's.
    """
    weights = [array.astype(np.float16) for layer in _layers_up_to(model, last_layer) for array in layer.get_weights()]
    np.savez(path, last_layer=last_layer, **{f"{number:03}": array for number, array in enumerate(weights)})


def _build(config: BackboneConfig, shape: tuple[int, int, int], weights: str | None = None) -> Any:
    """Build a backbone of keras.applications for inputs in [-1, 1]."""
    options = {"include_preprocessing": False} if config.name == "MobileNetV3Small" else {}
    make = getattr(import_tensorflow().keras.applications, config.name)
    return make(include_top=False, weights=weights, input_shape=shape, **options)


def _load_first_layers(model: Any, path: Path) -> None:
    """Load weights written by `save_weights`; later layers keep their random weights.

    Raises:
        ValueError: the file belongs to another network.
    """
    with np.load(path, allow_pickle=False) as stored:
        arrays = [stored[name].astype(np.float32) for name in sorted(stored.files) if name != "last_layer"]
        layers = _layers_up_to(model, str(stored["last_layer"]))
    for layer in layers:
        count = len(layer.weights)
        layer.set_weights(arrays[:count])
        arrays = arrays[count:]


def _layers_up_to(model: Any, last_layer: str) -> list[Any]:
    """Return the layers up to `last_layer`, in Keras's order, which is by depth."""
    names = [layer.name for layer in model.layers]
    return list(model.layers[: names.index(last_layer) + 1])


def _weights_file(weights: str) -> Path:
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"no weights at {path}. Set --weights to `imagenet` or to a weights file of Keras")
    return path
