"""Fuzz tests of bundles of format 1: each damaged file and each manifest is loaded or refused in one clear line.

A small bundle is damaged in every way. Its checksums are computed again where a careless or malicious tool would do so.
A property is tried a hundred times by default, and ten thousand times by `make fuzz`.
"""

import contextlib
import hashlib
import json

import numpy as np
import pytest
from fake_bundle import FakeNetwork, golden_file, make_manifest
from fuzz_strategies import ANYTHING, TEXTS, damages
from hypothesis import assume, given
from hypothesis import strategies as st

from device.errors import ConfigError
from device.model.bundle import load_bundle
from device.model.features import FeatureConfig, log_mel
from device.model.manifest import manifest_digest
from device.model.manifest_v1 import ManifestV1
from device.model.self_test import self_test

FEATURES = FeatureConfig(window_seconds=0.3, mel_bands=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder for the files of all examples, one after another."""
    return tmp_path_factory.mktemp("fuzz")


def write_bundle(folder, manifest, model, golden):
    """Write a bundle with the right checksums of its files."""
    manifest = manifest | {
        "sha256": hashlib.sha256(model).hexdigest(),
        "golden_sha256": hashlib.sha256(golden).hexdigest(),
    }
    manifest |= {"manifest_sha256": manifest_digest(manifest)}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    (folder / "model.tflite").write_bytes(model)
    (folder / "golden.npz").write_bytes(golden)


WAVEFORMS = np.random.default_rng(1).integers(-9000, 9000, (2, FEATURES.window_length), np.int16)
LOG_MELS = np.stack([log_mel(waveform, FEATURES) for waveform in WAVEFORMS])
SCORES = np.array([[0.5, 0.5]] * 2, np.float32)
MODEL = bytes(range(256))
GOLDEN = golden_file(waveforms=WAVEFORMS, log_mels=LOG_MELS, scores=SCORES)
MANIFEST = make_manifest(FEATURES).model_dump(mode="json")


def loads(folder):
    """Load and self-test a bundle, and return whether it is valid; a fault must be one line with its cure."""
    try:
        bundle = load_bundle(folder)
        self_test(bundle, {"inception": FakeNetwork(bundle.manifest.first)})
    except ConfigError as error:
        assert str(error).startswith(f"bundle refused: {folder}")
        assert "\n" not in str(error)
        assert str(error).endswith(". Copy the bundle again, or export it anew")
        return False
    return True


def test_the_undamaged_bundle_is_valid(folder):
    """The bundle that the other tests damage is valid."""
    write_bundle(folder, MANIFEST, MODEL, GOLDEN)
    assert loads(folder)


@given(data=st.data(), name=st.sampled_from(["bundle.json", "model.tflite", "golden.npz"]))
def test_a_damaged_file_is_refused(folder, data, name):
    """Any changed file is refused by its checksum, because TFLite may crash on a damaged network."""
    write_bundle(folder, MANIFEST, MODEL, GOLDEN)
    content = (folder / name).read_bytes()
    damaged = data.draw(damages(content) | st.just((folder / "golden.npz").read_bytes()))
    (folder / name).write_bytes(damaged)
    with contextlib.suppress(ValueError):  # a change of white space in JSON is no damage
        assume(damaged != content and (name != "bundle.json" or json.loads(damaged) != json.loads(content)))
    assert not loads(folder)


@given(
    changes=st.dictionaries(st.sampled_from(list(ManifestV1.model_fields)) | st.text(max_size=4), ANYTHING, max_size=3)
)
def test_any_manifest_is_valid_or_refused(folder, changes):
    """Any values and keys with the right checksums are valid or refused."""
    write_bundle(folder, MANIFEST | json.loads(json.dumps(changes, default=str)), MODEL, GOLDEN)
    loads(folder)


@given(changes=st.dictionaries(st.sampled_from(list(MANIFEST["features"])), st.floats() | st.integers(), min_size=1))
def test_any_features_are_valid_or_refused(folder, changes):
    """Numbers without a possible log-mel are refused before one is computed."""
    write_bundle(folder, MANIFEST | {"features": MANIFEST["features"] | changes}, MODEL, GOLDEN)
    loads(folder)


@given(content=TEXTS.map(lambda text: text.encode(errors="replace")) | st.binary(max_size=99) | st.just(b"[" * 99999))
def test_other_content_than_a_manifest_is_refused(folder, content):
    """Any text and bytes in place of the manifest are refused."""
    write_bundle(folder, MANIFEST, MODEL, GOLDEN)
    (folder / "bundle.json").write_bytes(content)
    assert not loads(folder)


ARRAYS = (
    st.sampled_from([WAVEFORMS, WAVEFORMS[:, 1:], WAVEFORMS.astype(np.int32)])
    | st.sampled_from([LOG_MELS, LOG_MELS[:, 1:], np.full_like(LOG_MELS, np.nan)])
    | st.sampled_from(
        [SCORES, SCORES[:1], SCORES[:, :0], SCORES.astype(str), np.float32(1), np.empty((0, 3), np.float32)]
    )
)


@given(
    golden=st.dictionaries(st.sampled_from(["waveforms", "log_mels", "scores", "more"]), ARRAYS).map(
        lambda arrays: golden_file(**arrays)
    )
    | damages(GOLDEN)
    | st.binary(max_size=99)
)
def test_any_golden_values_are_valid_or_refused(folder, golden):
    """Damaged, of another shape or type, or no NPZ: with the right checksums they are valid or refused."""
    write_bundle(folder, MANIFEST, MODEL, golden)
    loads(folder)
