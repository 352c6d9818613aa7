"""Checkpoint of a trained ensemble: heads of its networks, scoring, thresholds, and fine-tuned weights if any."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import ConfigError
from device.model.manifest import Scoring, Threshold
from training.models.head import Head

_JSON = "ensemble.json"


@dataclass(frozen=True)
class TrainedHead:
    """Head with its calibration.

    Attributes:
        head: linear layer on the network's features.
        temperature: temperature of the softmax.
        settings: its hyperparameters, as JSON.
    """

    head: Head
    temperature: float
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class TrainedNetwork:
    """Heads of one network. The layers below are built again from its configuration.

    Attributes:
        heads: `clip`, and `live` if the network has a head of its own for live sound.
        settings: configuration of the network, as JSON.
        tuned: fine-tuned Keras network, or the file of its weights; None for frozen layers.
    """

    heads: Mapping[str, TrainedHead]
    settings: Mapping[str, Any]
    tuned: Any = None


@dataclass(frozen=True)
class TrainedEnsemble:
    """Networks that are scored together, with their rules for live sound.

    Attributes:
        networks: networks by name, in the order of scoring.
        scoring: combination of their scores.
        live_odds: prior odds of `unknown` live (see `device.model.scoring`).
        thresholds: event threshold of each label.
        false_alarms: false alarms per hour of each label at each of `thresholds.THRESHOLD_CANDIDATES`, shape
            (candidates,).
        settings: folds and choices, as JSON, for reports and to reproduce the ensemble.
    """

    networks: Mapping[str, TrainedNetwork]
    scoring: Scoring
    live_odds: float
    thresholds: Mapping[str, Threshold]
    false_alarms: Mapping[str, NDArray[np.float64]]
    settings: Mapping[str, Any]

    def save(self, folder: Path) -> None:
        """Write the ensemble into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, network in self.networks.items():
            weights = _tuned_file(folder, name)
            weights.unlink(missing_ok=True)
            if network.tuned is not None:
                network.tuned.save_weights(weights)
            for kind, trained in network.heads.items():
                np.savez(_head_file(folder, name, kind), **vars(trained.head))
        content = {
            "networks": {
                name: {
                    "settings": dict(network.settings),
                    "heads": {
                        kind: {"temperature": trained.temperature, "settings": dict(trained.settings)}
                        for kind, trained in network.heads.items()
                    },
                }
                for name, network in self.networks.items()
            },
            "scoring": self.scoring.model_dump(mode="json"),
            "live_odds": self.live_odds,
            "thresholds": {label: each.model_dump() for label, each in self.thresholds.items()},
            "false_alarms": {label: each.tolist() for label, each in self.false_alarms.items()},
            "settings": dict(self.settings),
        }
        (folder / _JSON).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_ensemble(folder: Path) -> TrainedEnsemble:
    """Load an ensemble written by `TrainedEnsemble.save`.

    Raises:
        ConfigError: it is missing or unreadable.
    """
    try:
        content = json.loads((folder / _JSON).read_text(encoding="utf-8"))
        return TrainedEnsemble(
            {name: _load_network(folder, name, each) for name, each in content["networks"].items()},
            Scoring.model_validate_json(json.dumps(content["scoring"])),
            content["live_odds"],
            {label: Threshold(**each) for label, each in content["thresholds"].items()},
            {label: np.array(each) for label, each in content["false_alarms"].items()},
            content["settings"],
        )
    except FileNotFoundError as error:
        raise ConfigError(f"no trained network at {folder}. Run `earshot-train train` first") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{folder}: not a trained network ({error}). Run `earshot-train train` again") from error


def _load_network(folder: Path, name: str, content: Mapping[str, Any]) -> TrainedNetwork:
    heads = {}
    for kind, each in content["heads"].items():
        with np.load(_head_file(folder, name, kind), allow_pickle=False) as arrays:
            heads[kind] = TrainedHead(Head(**arrays), each["temperature"], each["settings"])
    weights = _tuned_file(folder, name)
    return TrainedNetwork(heads, content["settings"], weights if weights.exists() else None)


def _head_file(folder: Path, network: str, head: str) -> Path:
    return folder / f"{network}-{head}.npz"


def _tuned_file(folder: Path, network: str) -> Path:
    return folder / f"{network}.weights.h5"
