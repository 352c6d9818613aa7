"""Bundles of format 2 with tiny networks, for tests (tests/device/model/make_tiny_networks.py)."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

from device.model.audioset_features import AudioSetFeatureConfig
from device.model.bundle import Bundle, parse_manifest
from device.model.ensemble import Ensemble
from device.model.features import FeatureConfig
from device.model.manifest import manifest_digest
from device.model.manifest_network import features_json

NETWORKS = Path(__file__).resolve().parent / "device" / "model"
LABELS = ("low", "high")
CLASSES = ("Hum", "Speech", "Music", "Typewriter", *(f"Class {number}" for number in range(4, 527)))
PARTS = {
    "audioset": {
        "file": "audioset.tflite",
        "features": features_json(AudioSetFeatureConfig()),
        "quantization": None,
        "outputs": {"clip": 3, "live": 3, "audioset": 527, "embedding": 4},
        "temperature": {"clip": 1.0, "live": 2.0},
        "classes": list(CLASSES),
    },
    "inception": {
        "file": "inception.tflite",
        "features": features_json(FeatureConfig()),
        "quantization": {"input": {"scale": 0.008, "zero_point": 0}, "output": {"scale": 0.1, "zero_point": 0}},
        "outputs": {"clip": 3},
        "temperature": {"clip": 1.0},
        "classes": None,
    },
}


def manifest_json(networks=("audioset", "inception"), **changes):
    """Return a valid bundle.json of format 2 without right hashes; `changes` replace its keys."""
    weights = dict.fromkeys(networks, 1 / len(networks))
    manifest = {
        "format_version": 2,
        "name": "tiny",
        "version": "1",
        "labels": list(LABELS),
        "networks": {name: {**PARTS[name], "sha256": ""} for name in networks},
        "scoring": {
            "order": list(networks),
            "clip": {"weights": weights, "ask_below": 0.9},
            "live": {"weights": weights, "ask_above": 0.9},
        },
        "thresholds": {label: {"threshold": 0.5, "false_alarms_per_hour": 0.0} for label in LABELS},
        "unknown": {"output": True, "min_confidence": 0.0},
        "training": {"data": "none"},
        "accuracy": {},
        "golden_sha256": "",
        "manifest_sha256": "",
    }
    return manifest | changes


def fake_bundle(networks=("audioset", "inception"), **changes):
    """Make a bundle without files, for networks that are plain functions."""
    manifest = manifest_json(networks, **changes)
    return Bundle(Path("nowhere"), parse_manifest(json.dumps(manifest), manifest))


def write_tiny_bundle(folder, networks=("audioset", "inception"), **changes):
    """Write a bundle whose hashes and golden values are right; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in networks:
        shutil.copy(NETWORKS / f"tiny_{name}.tflite", folder / f"{name}.tflite")
    sign(folder, manifest_json(networks, **changes))
    return folder


def sign(folder, manifest):
    """Write golden values and bundle.json, with the hashes of what the folder contains."""
    for part in manifest["networks"].values():
        part["sha256"] = digest(folder / part["file"])
    bundle = Bundle(folder, parse_manifest(json.dumps(manifest), manifest))
    waveforms = golden_waveforms(bundle.window_length)
    arrays = {"waveforms": waveforms}
    for name, network in Ensemble(bundle).networks.items():
        log_mels = np.stack([network.log_mel(waveform) for waveform in waveforms])
        arrays[f"{name}_log_mels"] = log_mels
        arrays[f"{name}_outputs"] = np.stack([network.outputs(log_mel) for log_mel in log_mels])
    write_golden(folder, manifest, arrays)


def write_golden(folder, manifest, arrays):
    """Write golden values and bundle.json."""
    np.savez_compressed(folder / "golden.npz", **arrays)
    manifest["golden_sha256"] = digest(folder / "golden.npz")
    manifest["manifest_sha256"] = manifest_digest(manifest)
    (folder / "bundle.json").write_text(json.dumps(manifest))


def golden_waveforms(length):
    """Return a low tone, a high tone and noise, shape (3, length), int16."""
    time = np.arange(length) / 16000
    noise = np.random.default_rng(0).normal(0, 300, length)
    tones = [8000 * np.sin(2 * np.pi * hertz * time) for hertz in (400, 5000)]
    return np.stack([*(tone + noise / 10 for tone in tones), noise]).astype(np.int16)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
