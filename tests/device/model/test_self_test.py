import json

import numpy as np
import pytest
from tiny_bundle import digest, write_golden, write_tiny_bundle

from device.errors import ConfigError
from device.model.bundle import load_bundle
from device.model.manifest import manifest_digest
from device.service.runtime import open_bundle

FILES = ["bundle.json", "audioset.tflite", "inception.tflite", "golden.npz"]


@pytest.fixture
def folder(tmp_path):
    """Write a bundle of format 2 with two networks."""
    return write_tiny_bundle(tmp_path / "bundle")


def change_golden(folder, name, change):
    """Change one golden array and sign the bundle again."""
    with np.load(folder / "golden.npz") as golden:
        arrays = dict(golden)
    arrays[name] = change(arrays[name])
    write_golden(folder, json.loads((folder / "bundle.json").read_text()), arrays)


def raised(start, end, by):
    """Return a change that raises the columns from `start` to `end` of the second golden window."""

    def change(array):
        array = array.copy()
        array[1, start:end] += by
        return array

    return change


def test_a_bundle_of_two_networks_passes(folder):
    """Both networks reproduce their golden values on this machine."""
    bundle, ensemble = open_bundle(folder)
    assert str(bundle) == "tiny@1"
    assert list(ensemble.networks) == ["audioset", "inception"]


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_is_refused(folder, name):
    """One changed byte in any file is detected, and the error contains the file's name."""
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 0x01
    (folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match=f"bundle refused: .*{name}"):
        open_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    """The error for a missing file contains its name."""
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=rf"bundle refused: .*{name}"):
        open_bundle(folder)


@pytest.mark.parametrize(
    ("array", "change", "message"),
    [
        ("audioset_log_mels", raised(5, 6, 0.01), "log-mel of golden window 1, network audioset is off by 0.01"),
        ("inception_log_mels", raised(5, 6, 0.01), "log-mel of golden window 1, network inception is off by 0.01"),
        ("audioset_outputs", raised(1, 2, -9.0), "clip output of golden window 1, network audioset is off by"),
        ("audioset_outputs", raised(4, 5, -9.0), "live output of golden window 1, network audioset is off by"),
        ("audioset_outputs", raised(9, 10, 1.0), "audioset output of golden window 1, network audioset is off by"),
        ("audioset_outputs", raised(533, 534, 9.0), "embedding output of golden window 1, network audioset is off"),
        ("inception_outputs", raised(1, 2, -9.0), "clip output of golden window 1, network inception is off by"),
        ("inception_outputs", raised(0, 1, np.nan), "clip output of golden window 1, network inception is off by nan"),
        ("inception_outputs", lambda array: array[:, :2], r"inception_outputs has \(2,\) values a window"),
        ("inception_outputs", lambda array: array[:2], "its arrays .*inception_outputs do not belong together"),
        ("inception_log_mels", lambda array: array[:, 1:], r"network inception has shape \(127, 184\)"),
        ("waveforms", lambda array: array[:, 1:], "its windows are not of 48000 samples"),
        ("waveforms", lambda array: array.astype(np.int32), "do not belong together"),
    ],
)
def test_other_golden_values_are_refused(folder, array, change, message):
    """A difference in any part of any network is refused, and the error contains the network's name."""
    change_golden(folder, array, change)
    with pytest.raises(ConfigError, match=rf"bundle refused: .*golden\.npz: .*{message}"):
        open_bundle(folder)


def test_small_differences_are_accepted(folder):
    """Differences as between machines are within the tolerances."""
    change_golden(folder, "audioset_log_mels", raised(0, 128, 5e-4))
    change_golden(folder, "audioset_outputs", raised(0, 537, 0.01))
    change_golden(folder, "inception_outputs", raised(0, 3, 0.02))
    open_bundle(folder)


def test_golden_values_of_each_network_are_required(folder):
    """Without the golden values of one network, the bundle is refused."""
    with np.load(folder / "golden.npz") as golden:
        arrays = {name: golden[name] for name in golden if not name.startswith("inception")}
    write_golden(folder, json.loads((folder / "bundle.json").read_text()), arrays)
    with pytest.raises(ConfigError, match=r"golden\.npz: not readable \(.*inception_log_mels"):
        open_bundle(folder)


def test_a_network_for_other_features_is_refused(folder):
    """A network with another input shape than its features give is refused with both shapes."""
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["networks"]["inception"]["features"]["mel_bands"] = 64
    manifest["manifest_sha256"] = manifest_digest(manifest)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match=r"inception\.tflite: it takes log-mels of shape \(128, 184\).*\(64, 184\)"):
        open_bundle(folder)


def test_a_file_of_another_network_is_refused(folder):
    """A network in place of another one is refused by its tensors."""
    (folder / "audioset.tflite").write_bytes((folder / "inception.tflite").read_bytes())
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["networks"]["audioset"]["sha256"] = digest(folder / "audioset.tflite")
    manifest["manifest_sha256"] = manifest_digest(manifest)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    assert load_bundle(folder)
    with pytest.raises(ConfigError, match=r"audioset\.tflite: must be float32 in and out with 537 outputs"):
        open_bundle(folder)
