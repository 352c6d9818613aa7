"""Bundle writer: quantizes a trained network, verifies it with the device's code, and writes the bundle."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import ConfigError
from device.model.bundle import Bundle, load_bundle
from device.model.classifier import Classifier, interpreter_class, softmax
from device.model.features import FeatureConfig, log_mel
from device.model.manifest import FORMAT_VERSION, GOLDEN, MANIFEST, MODEL, Threshold, manifest_digest
from device.model.scoring import decide
from device.model.self_test import self_test
from device.types import LogMel, Samples, to_int16
from training.data.array_cache import file_digest
from training.data.parallel import parallel_map
from training.fitting.thresholds import unknown_rule
from training.quantization.tflite import quantize_network

MIN_AGREEMENT = 0.97
"""Least share of windows on which int8 and float network must decide alike; below it, export refuses."""
CALIBRATION_WINDOWS = 400
MAX_MODEL_BYTES = 25_000_000


@dataclass(frozen=True)
class BundleInfo:
    """Content of a bundle beside its network."""

    name: str
    version: str
    labels: tuple[str, ...]
    features: FeatureConfig
    temperature: float
    thresholds: Mapping[str, Threshold]
    unknown_output: bool
    live_odds: float
    training: Mapping[str, Any]
    accuracy: Mapping[str, Any]


def export_bundle(
    network: Any, log_mels: NDArray[np.float32], logits: NDArray[np.float32], info: BundleInfo, folder: Path
) -> float:
    """Quantize a network, compare it with the float network, and write its bundle without the model card.

    Args:
        network: Keras, log-mels (n, mel_bands, frames, 1) -> logits (n, outputs). Its channels are rescaled; its
            outputs stay the same.
        log_mels: varied training windows, shape (n, mel_bands, frames), to calibrate and to compare with.
        logits: float logits of these windows, shape (n, outputs).
        info: the rest of the bundle.
        folder: folder of the bundle; its files are replaced, all or none.

    Returns:
        Share of the windows on which both networks decide alike, 0 to 1.

    Raises:
        ConfigError: the int8 network disagrees with the float network, or is too large. Nothing is written.
    """
    content = quantize_network(network, log_mels[:CALIBRATION_WINDOWS], logits[:CALIBRATION_WINDOWS])
    if len(content) > MAX_MODEL_BYTES:
        raise ConfigError(
            f"not exported: the network takes {len(content)} bytes, at most {MAX_MODEL_BYTES} are allowed. "
            "Use fewer layers"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".export-") as temporary:
        path = Path(temporary)
        (path / MODEL).write_bytes(content)

        def load() -> Classifier:
            return Classifier(path / MODEL, labels=len(info.labels), temperature=info.temperature)

        agreement = decision_agreement(logits, load, log_mels, info)
        if agreement < MIN_AGREEMENT:
            raise ConfigError(
                f"not exported: the int8 network decides like the float one on {agreement:.1%} of {len(log_mels)} "
                f"windows, at least {MIN_AGREEMENT:.0%} are needed. Train with more clips or copies"
            )
        classifier = load()
        _write_golden(path / GOLDEN, info, classifier)
        _write_manifest(path, info)
        bundle = load_bundle(path)
        self_test(bundle, classifier)
        folder.mkdir(parents=True, exist_ok=True)
        for name in (MODEL, GOLDEN, MANIFEST):
            (path / name).replace(folder / name)
    return agreement


def decision_agreement(
    logits: NDArray[np.float32], load: Callable[[], Classifier], log_mels: NDArray[np.float32], info: BundleInfo
) -> float:
    """Return the share of windows on which the device's int8 network decides like the float network, 0 to 1."""
    float_scores = softmax(logits / info.temperature)[:, : len(info.labels)]
    int8_scores = np.stack(list(parallel_map(load, lambda classifier, window: classifier(window), log_mels)))
    unknown = unknown_rule(info.unknown_output, info.live_odds)
    alike = decide(float_scores, unknown) == decide(int8_scores, unknown)
    return float(alike.mean())


def golden_waveforms(features: FeatureConfig) -> list[Samples]:
    """Synthesize windows with quiet, loud, tonal and noisy sound, each of shape (window_length,), int16."""
    rng = np.random.default_rng(20260)
    time = np.arange(features.window_length) / features.sample_rate
    noise = rng.normal(size=features.window_length)
    wail = np.sin(2 * np.pi * (900 * time - 300 / np.pi * np.cos(np.pi * time)))
    clicks = noise * (np.modf(time * 12)[0] < 0.2)
    bark = wail * np.exp(-8 * np.modf(time * 1.5)[0]) + 0.1 * noise
    signals = (0.3 * wail, 0.2 * clicks, 0.3 * bark, 0.02 * noise)
    return [to_int16(signal) for signal in signals]


def _write_golden(path: Path, info: BundleInfo, classifier: Classifier) -> None:
    waveforms = golden_waveforms(info.features)
    log_mels: list[LogMel] = [log_mel(waveform, info.features) for waveform in waveforms]
    scores = [classifier(each) for each in log_mels]
    np.savez_compressed(path, waveforms=np.stack(waveforms), log_mels=np.stack(log_mels), scores=np.stack(scores))


def _write_manifest(path: Path, info: BundleInfo) -> None:
    manifest: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "name": info.name,
        "version": info.version,
        "labels": list(info.labels),
        "features": asdict(info.features),
        **_quantization(path / MODEL),
        "calibration": {"temperature": info.temperature},
        "thresholds": {label: info.thresholds[label].model_dump() for label in info.labels},
        "unknown": unknown_rule(info.unknown_output, info.live_odds).model_dump(),
        "training": dict(info.training),
        "accuracy": dict(info.accuracy),
        "sha256": file_digest(path / MODEL),
        "golden_sha256": file_digest(path / GOLDEN),
    }
    manifest["manifest_sha256"] = manifest_digest(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _quantization(model: Path) -> dict[str, dict[str, float]]:
    """Return scale and zero point of the network's input and output, for the manifest."""
    interpreter = interpreter_class()(model_path=str(model))
    sides = {"input": interpreter.get_input_details()[0], "output": interpreter.get_output_details()[0]}
    return {
        name: {"scale": float(side["quantization"][0]), "zero_point": int(side["quantization"][1])}
        for name, side in sides.items()
    }


def load_classifier(bundle: Bundle) -> Classifier:
    """Load the device's classifier of a bundle."""
    temperature = bundle.manifest.calibration.temperature
    return Classifier(bundle.model_path, labels=len(bundle.labels), temperature=temperature)
