"""Checkpoint of a trained network: head, calibration, thresholds, and fine-tuned weights if there are any."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import ConfigError
from device.model.manifest import Threshold
from training.models.backbone import BackboneConfig, build_backbone
from training.models.head import Head, attach_head

_HEAD, _JSON, _TUNED = "head.npz", "network.json", "tuned.weights.h5"


@dataclass(frozen=True)
class Network:
    """Head with its calibration and thresholds. The backbone is built again from its configuration.

    Attributes:
        head: linear layer on the backbone's features.
        temperature: temperature of the softmax.
        live_odds: prior odds of `unknown` live (see `device.model.scoring`).
        thresholds: event threshold of each label.
        false_alarms: false alarms per hour of each label at each of `thresholds.THRESHOLD_CANDIDATES`, shape
            (candidates,).
        settings: all settings and choices, as JSON, for reports and to reproduce the network.
    """

    head: Head
    temperature: float
    live_odds: float
    thresholds: Mapping[str, Threshold]
    false_alarms: Mapping[str, NDArray[np.float64]]
    settings: Mapping[str, Any]

    def to_keras(self, backbone: BackboneConfig, shape: tuple[int, int], tuned: Path | None = None) -> Any:
        """Build the whole network: log-mels (n, mel_bands, frames, 1) -> logits (n, outputs).

        Args:
            backbone: backbone that the head was fitted on.
            shape: (mel_bands, frames).
            tuned: folder of `save`; its fine-tuned weights are loaded if it contains any.
        """
        network = attach_head(build_backbone(backbone, shape), self.head)
        if tuned is not None and (tuned / _TUNED).exists():
            network.load_weights(tuned / _TUNED)
        return network

    def save(self, folder: Path, tuned: Any = None) -> None:
        """Write the network; `tuned` is the fine-tuned Keras network, None if the linear head was better."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _TUNED).unlink(missing_ok=True)
        if tuned is not None:
            tuned.save_weights(folder / _TUNED)
        np.savez(folder / _HEAD, **vars(self.head))
        content = {
            "temperature": self.temperature,
            "live_odds": self.live_odds,
            "thresholds": {label: each.model_dump() for label, each in self.thresholds.items()},
            "false_alarms": {label: each.tolist() for label, each in self.false_alarms.items()},
            "settings": dict(self.settings),
        }
        (folder / _JSON).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_network(folder: Path) -> Network:
    """Load a network written by `Network.save`.

    Raises:
        ConfigError: it is missing or unreadable.
    """
    try:
        content = json.loads((folder / _JSON).read_text(encoding="utf-8"))
        with np.load(folder / _HEAD, allow_pickle=False) as arrays:
            head = Head(**arrays)
        thresholds = {label: Threshold(**each) for label, each in content["thresholds"].items()}
        false_alarms = {label: np.array(each) for label, each in content["false_alarms"].items()}
        return Network(
            head, content["temperature"], content["live_odds"], thresholds, false_alarms, content["settings"]
        )
    except FileNotFoundError as error:
        raise ConfigError(f"no trained network at {folder}. Run `earshot-train train` first") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder}: not a trained network ({error}). Run `earshot-train train` again") from error
