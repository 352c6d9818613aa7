"""Bundle writer: verifies converted networks with the device's code, and writes them as a bundle.

A bundle of `inception` alone has format 1, every other one format 2.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import ConfigError
from device.model.audioset_features import AudioSetFeatureConfig
from device.model.bundle import load_bundle
from device.model.classifier import Network, interpreter_class, softmax
from device.model.features import FeatureConfig
from device.model.manifest import FORMAT_VERSION, GOLDEN, MANIFEST, Scoring, Threshold, manifest_digest
from device.model.manifest_network import INCEPTION, Head, NetworkManifest, Part, TensorQuantization
from device.model.manifest_v1 import MODEL
from device.model.scoring import decide
from device.model.self_test import self_test
from device.types import LogMel, Samples
from device.util.samples import to_int16
from training.data.array_cache import file_digest
from training.data.parallel import parallel_map
from training.fitting.thresholds import unknown_rule

MIN_AGREEMENT = 0.97
"""Least share of windows on which converted and float network must decide alike; below it, export refuses."""
CALIBRATION_WINDOWS = 400
MAX_MODEL_BYTES = 25_000_000


@dataclass(frozen=True)
class NetworkPart:
    """Converted network, and windows to compare it with the float network.

    Attributes:
        content: TFLite file content.
        features: parameters of its log-mel.
        outputs: length of each part of the output tensor.
        temperature: temperature of each head.
        classes: display names of AudioSet's classes; None without them.
        log_mels: training windows, shape (n, mel_bands, frames).
        logits: logits of these windows by the float network's head for clips, shape (n, outputs).
    """

    content: bytes
    features: FeatureConfig | AudioSetFeatureConfig
    outputs: Mapping[Part, int]
    temperature: Mapping[Head, float]
    classes: tuple[str, ...] | None
    log_mels: NDArray[np.float32]
    logits: NDArray[np.float32]


@dataclass(frozen=True)
class BundleInfo:
    """Content of a bundle beside its networks."""

    name: str
    version: str
    labels: tuple[str, ...]
    scoring: Scoring
    thresholds: Mapping[str, Threshold]
    unknown_output: bool
    live_odds: float
    training: Mapping[str, Any]
    accuracy: Mapping[str, Any]


def export_bundle(parts: Mapping[str, NetworkPart], info: BundleInfo, folder: Path) -> dict[str, float]:
    """Compare converted networks with the float networks, and write their bundle without the model card.

    Args:
        parts: networks by name, in the order of scoring.
        info: the rest of the bundle.
        folder: folder of the bundle; its files are replaced, all or none.

    Returns:
        Share of the windows on which each network decides like its float network, 0 to 1.

    Raises:
        ConfigError: a network disagrees with its float network, or is too large. Nothing is written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".export-") as temporary:
        path = Path(temporary)
        manifests = {name: _write_network(path, name, part, single=len(parts) == 1) for name, part in parts.items()}
        agreement = {
            name: _verified_agreement(name, part, path / manifests[name].file, manifests[name], info)
            for name, part in parts.items()
        }
        networks = {name: Network(path / manifest.file, manifest) for name, manifest in manifests.items()}
        _write_golden(path / GOLDEN, networks, len(info.labels))
        _write_manifest(path, info, manifests)
        bundle = load_bundle(path)
        self_test(bundle, networks)
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.tflite"):
            old.unlink()
        for name in (*(manifest.file for manifest in manifests.values()), GOLDEN, MANIFEST):
            (path / name).replace(folder / name)
    return agreement


def decision_agreement(part: NetworkPart, load: Callable[[], Network], labels: int, unknown_output: bool) -> float:
    """Return the share of windows on which the device's network decides like the float network, 0 to 1."""
    float_scores = softmax(part.logits / part.temperature["clip"])[:, :labels]
    scores = parallel_map(load, lambda network, window: _clip_scores(network, window, labels), part.log_mels)
    unknown = unknown_rule(unknown_output, 1.0)
    return float((decide(float_scores, unknown) == decide(np.stack(list(scores)), unknown)).mean())


def golden_waveforms(window_length: int, sample_rate: int) -> list[Samples]:
    """Synthesize windows with quiet, loud, tonal and noisy sound, each of shape (window_length,), int16."""
    rng = np.random.default_rng(20260)
    time = np.arange(window_length) / sample_rate
    noise = rng.normal(size=window_length)
    wail = np.sin(2 * np.pi * (900 * time - 300 / np.pi * np.cos(np.pi * time)))
    clicks = noise * (np.modf(time * 12)[0] < 0.2)
    bark = wail * np.exp(-8 * np.modf(time * 1.5)[0]) + 0.1 * noise
    signals = (0.3 * wail, 0.2 * clicks, 0.3 * bark, 0.02 * noise)
    return [to_int16(signal) for signal in signals]


def _write_network(folder: Path, name: str, part: NetworkPart, *, single: bool) -> NetworkManifest:
    """Write the TFLite file and return the network's part of the manifest."""
    if len(part.content) > MAX_MODEL_BYTES:
        raise ConfigError(
            f"not exported: the network {name} takes {len(part.content)} bytes, at most {MAX_MODEL_BYTES} are allowed. "
            "Use fewer layers"
        )
    path = folder / (MODEL if single and name == INCEPTION else f"{name}.tflite")
    path.write_bytes(part.content)
    return NetworkManifest(
        file=path.name,
        sha256=file_digest(path),
        features=part.features,
        quantization=_quantization(path),
        outputs=dict(part.outputs),
        temperature=dict(part.temperature),
        classes=part.classes,
    )


def _verified_agreement(name: str, part: NetworkPart, path: Path, manifest: NetworkManifest, info: BundleInfo) -> float:
    agreement = decision_agreement(part, lambda: Network(path, manifest), len(info.labels), info.unknown_output)
    if agreement < MIN_AGREEMENT:
        kind = "float16" if manifest.quantization is None else "int8"
        raise ConfigError(
            f"not exported: the {kind} network {name} decides like the float one on {agreement:.1%} of "
            f"{len(part.log_mels)} windows, at least {MIN_AGREEMENT:.0%} are needed. Train with more clips or copies"
        )
    return agreement


def _clip_scores(network: Network, log_mel: LogMel, labels: int) -> NDArray[np.float32]:
    """Return the scores of one log-mel by the head for clips, shape (labels,)."""
    return network.probabilities(network.outputs(log_mel), "clip")[:labels]


def _write_golden(path: Path, networks: Mapping[str, Network], labels: int) -> None:
    """Write the golden windows: for format 1 with scores, for format 2 with the outputs of each network."""
    features = next(iter(networks.values())).manifest.features
    waveforms = golden_waveforms(features.window_length, features.sample_rate)
    arrays: dict[str, NDArray[Any]] = {"waveforms": np.stack(waveforms)}
    for name, network in networks.items():
        log_mels = [network.log_mel(waveform) for waveform in waveforms]
        if _is_format_1(networks):
            arrays["log_mels"] = np.stack(log_mels)
            arrays["scores"] = np.stack([_clip_scores(network, each, labels) for each in log_mels])
        else:
            arrays[f"{name}_log_mels"] = np.stack(log_mels)
            arrays[f"{name}_outputs"] = np.stack([network.outputs(each) for each in log_mels])
    np.savez_compressed(path, **arrays)


def _is_format_1(networks: Mapping[str, Any]) -> bool:
    return list(networks) == [INCEPTION]


def _write_manifest(path: Path, info: BundleInfo, networks: Mapping[str, NetworkManifest]) -> None:
    description = {
        "name": info.name,
        "version": info.version,
        "labels": list(info.labels),
    }
    rules = {
        "thresholds": {label: info.thresholds[label].model_dump() for label in info.labels},
        "unknown": unknown_rule(info.unknown_output, info.live_odds).model_dump(),
        "training": dict(info.training),
        "accuracy": dict(info.accuracy),
        "golden_sha256": file_digest(path / GOLDEN),
    }
    content = _format_1(networks[INCEPTION]) if _is_format_1(networks) else _format_2(networks, info.scoring)
    manifest: dict[str, Any] = {**content, **description, **rules}
    manifest["manifest_sha256"] = manifest_digest(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _format_1(network: NetworkManifest) -> dict[str, Any]:
    assert network.quantization is not None
    return {
        "format_version": 1,
        "features": asdict(network.features),
        **network.quantization.model_dump(),
        "calibration": {"temperature": network.temperature["clip"]},
        "sha256": network.sha256,
    }


def _format_2(networks: Mapping[str, NetworkManifest], scoring: Scoring) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "networks": {name: network.model_dump(mode="json") for name, network in networks.items()},
        "scoring": scoring.model_dump(mode="json"),
    }


def _quantization(path: Path) -> TensorQuantization | None:
    """Return scale and zero point of a network's input and output; None for float32 tensors."""
    interpreter = interpreter_class()(model_path=str(path))
    sides = {"input": interpreter.get_input_details()[0], "output": interpreter.get_output_details()[0]}
    if sides["input"]["dtype"] == np.float32:
        return None
    return TensorQuantization.model_validate(
        {
            name: {"scale": float(side["quantization"][0]), "zero_point": int(side["quantization"][1])}
            for name, side in sides.items()
        }
    )
