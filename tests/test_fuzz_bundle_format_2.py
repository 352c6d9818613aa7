"""Fuzz tests of bundles of format 2: each manifest and each golden file is loaded or refused in one clear line.

The networks are plain functions. A property is tried a hundred times by default, and ten thousand times by `make fuzz`.
"""

import hashlib
import json

import numpy as np
import pytest
from fake_bundle import FakeNetwork, golden_file
from fuzz_strategies import ANYTHING
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundle import manifest_json

from device.errors import ConfigError
from device.model.audioset_features import AudioSetFeatureConfig, audioset_log_mel
from device.model.bundle import load_bundle
from device.model.ensemble import Ensemble
from device.model.features import FeatureConfig, log_mel
from device.model.manifest import manifest_digest
from device.model.manifest_network import features_json
from device.model.self_test import self_test

AUDIOSET = AudioSetFeatureConfig(window_seconds=0.3, mel_bands=8)
INCEPTION = FeatureConfig(window_seconds=0.3, mel_bands=8)
WAVEFORMS = np.random.default_rng(1).integers(-9000, 9000, (2, INCEPTION.window_length), np.int16)
MANIFEST = manifest_json()
for name, features in (("audioset", AUDIOSET), ("inception", INCEPTION)):
    MANIFEST["networks"][name]["features"] = features_json(features)
ARRAYS = {
    "waveforms": WAVEFORMS,
    "audioset_log_mels": np.stack([audioset_log_mel(waveform, AUDIOSET) for waveform in WAVEFORMS]),
    "audioset_outputs": np.zeros((2, 537), np.float32),
    "inception_log_mels": np.stack([log_mel(waveform, INCEPTION) for waveform in WAVEFORMS]),
    "inception_outputs": np.zeros((2, 3), np.float32),
}
GOLDEN = golden_file(**ARRAYS)
MODEL = bytes(range(256))
NUMBERS = st.floats() | st.integers()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder for the files of all examples, one after another."""
    return tmp_path_factory.mktemp("fuzz")


def loads(folder, manifest, golden=GOLDEN):
    """Write a bundle with right hashes, load and self-test it, and return whether it is valid."""
    networks = manifest.get("networks")
    for name in ("audioset", "inception"):
        (folder / f"{name}.tflite").write_bytes(MODEL)
        if isinstance(networks, dict) and isinstance(networks.get(name), dict) and networks[name].get("sha256") == "":
            networks[name]["sha256"] = hashlib.sha256(MODEL).hexdigest()
    (folder / "golden.npz").write_bytes(golden)
    manifest["golden_sha256"] = hashlib.sha256(golden).hexdigest()
    manifest["manifest_sha256"] = manifest_digest(manifest)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    try:
        bundle = load_bundle(folder)
        networks = {name: FakeNetwork(network) for name, network in bundle.manifest.networks.items()}
        self_test(bundle, networks)
    except ConfigError as error:
        assert str(error).startswith(f"bundle refused: {folder}")
        assert "\n" not in str(error)
        assert str(error).endswith(". Copy the bundle again, or export it anew")
        return False
    result = Ensemble(bundle, networks=networks).classify_live(WAVEFORMS[0])
    assert np.isfinite(result.scores).all()
    assert np.isfinite(result.log_mel).all()
    return True


def copy():
    """Return a copy of the valid manifest that a test may change."""
    return json.loads(json.dumps(MANIFEST))


def places(value, path=()):
    """Yield the path of each key and element of a JSON value, without AudioSet's classes."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            if key != "classes":
                yield from places(inner, (*path, key))


PLACES = list(places(MANIFEST))


def replace(manifest, path, value):
    """Replace the value at a path, if the path still exists."""
    for key in path[:-1]:
        if not isinstance(manifest, dict) or key not in manifest:
            return
        manifest = manifest[key]
    if isinstance(manifest, dict):
        manifest[path[-1]] = value


def test_the_unchanged_bundle_is_valid(folder):
    """The bundle that the tests change is valid when unchanged."""
    assert loads(folder, copy())


@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), ANYTHING | NUMBERS), min_size=1, max_size=3))
def test_any_manifest_is_loaded_or_refused(folder, changes):
    """Any values at any places of the manifest, with right hashes, give a bundle or one clear line."""
    manifest = copy()
    for path, value in changes:
        replace(manifest, path, json.loads(json.dumps(value, default=str)))
    loads(folder, manifest)


@given(
    name=st.sampled_from(["audioset", "inception"]),
    field=st.sampled_from(sorted({*features_json(AUDIOSET), *features_json(INCEPTION)} - {"kind"})),
    value=NUMBERS,
)
def test_any_features_are_loaded_or_refused(folder, name, field, value):
    """Numbers from which no log-mel can be computed are refused before one is."""
    manifest = copy()
    manifest["networks"][name]["features"][field] = value
    loads(folder, manifest)


GOLDEN_ARRAYS = st.sampled_from(
    [
        *ARRAYS.values(),
        WAVEFORMS[:, 1:],
        ARRAYS["audioset_log_mels"][:1],
        np.full((2, 537), np.nan, np.float32),
        np.zeros((2, 0), np.float32),
        np.zeros((2, 3), str),
        np.float32(1),
    ]
)


@given(changes=st.dictionaries(st.sampled_from([*ARRAYS, "more"]), GOLDEN_ARRAYS, max_size=3))
def test_any_golden_values_are_loaded_or_refused(folder, changes):
    """Golden values of another shape or type, or of another network, are refused in one clear line."""
    loads(folder, copy(), golden_file(**(ARRAYS | changes)))
