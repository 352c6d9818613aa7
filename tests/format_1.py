"""Bundle of format 1, made from the network `inception` of a bundle of format 2."""

import hashlib
import io
import json
import shutil

import numpy as np

from device.model.classifier import softmax
from device.model.manifest import BundleDescription, manifest_digest
from device.model.manifest_v1 import MODEL


def write_format_1(source, folder):
    """Write the bundle into a new folder, and return it."""
    folder.mkdir()
    manifest = json.loads((source / "bundle.json").read_text())
    network = manifest["networks"]["inception"]
    shutil.copy(source / network["file"], folder / MODEL)
    golden = np.load(source / "golden.npz")
    temperature = network["temperature"]["clip"]
    scores = softmax(golden["inception_outputs"] / np.float32(temperature))[:, : len(manifest["labels"])]
    content = io.BytesIO()
    np.savez(content, waveforms=golden["waveforms"], log_mels=golden["inception_log_mels"], scores=scores)
    (folder / "golden.npz").write_bytes(content.getvalue())
    described = {name: manifest[name] for name in BundleDescription.model_fields if name in manifest}
    features = {name: value for name, value in network["features"].items() if name != "kind"}
    written = described | {
        "format_version": 1,
        "features": features,
        "input": network["quantization"]["input"],
        "output": network["quantization"]["output"],
        "calibration": {"temperature": temperature},
        "sha256": network["sha256"],
        "golden_sha256": hashlib.sha256(content.getvalue()).hexdigest(),
    }
    written["manifest_sha256"] = manifest_digest(written)
    (folder / "bundle.json").write_text(json.dumps(written, indent=2))
    return folder
