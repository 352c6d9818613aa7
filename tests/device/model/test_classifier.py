import numpy as np
import pytest
from fake_bundle import FakeNetwork
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundle import CLASSES, fake_bundle, golden_waveforms, write_tiny_bundle

from device.errors import ConfigError
from device.model.bundle import load_bundle
from device.model.classifier import Network, sigmoid, softmax
from device.service.runtime import open_bundle


def test_scores_are_probabilities(bundle_path):
    """Any log-mel has one score for each label, 0 to 1, with a sum of at most 1, equal in each run."""
    bundle, ensemble = open_bundle(bundle_path)
    network = ensemble.networks["inception"]
    for seed in range(3):
        log_mel = np.random.default_rng(seed).uniform(-1, 1, network.manifest.features.shape).astype(np.float32)
        scores = network.probabilities(network.outputs(log_mel), "clip")[: len(bundle.labels)]
        assert scores.shape == (len(bundle.labels),)
        assert scores.dtype == np.float32
        assert scores.min() >= 0
        assert scores.sum() <= 1 + 1e-5
        np.testing.assert_array_equal(scores, network.probabilities(network.outputs(log_mel), "clip")[:-1])


def test_a_file_without_a_model_is_refused(tmp_path):
    """A file of noise is one clear error, not a crash of the interpreter."""
    path = tmp_path / "model.tflite"
    path.write_bytes(b"noise" * 100)
    with pytest.raises(ConfigError, match=r"model\.tflite: TFLite cannot load it"):
        Network(path, fake_bundle().manifest.first)


def test_a_model_of_another_shape_is_refused(format_1_path):
    """A network with another number of outputs than its manifest is refused, as is one with other tensors."""
    manifest = load_bundle(format_1_path).manifest.first
    with pytest.raises(ConfigError, match="must be int8 in and out with 4 outputs, but is int8, int8, 11"):
        Network(format_1_path / "model.tflite", manifest.model_copy(update={"outputs": {"clip": 4}}))
    with pytest.raises(ConfigError, match="must be float32 in and out with 11 outputs, but is int8, int8, 11"):
        Network(format_1_path / "model.tflite", manifest.model_copy(update={"quantization": None}))


def test_loading_prints_nothing(bundle_path, capfd):
    """The messages of TFLite are suppressed."""
    open_bundle(bundle_path)
    assert capfd.readouterr() == ("", "")


def test_a_float16_network_computes_all_its_parts(tmp_path):
    """A network with float16 weights returns its heads, AudioSet's classes and its embedding."""
    _, ensemble = open_bundle(write_tiny_bundle(tmp_path / "bundle"))
    network = ensemble.networks["audioset"]
    low, high, _ = golden_waveforms(48000)
    outputs = network.outputs(network.log_mel(low))
    assert outputs.dtype == np.float32
    assert outputs.shape == (3 + 3 + 527 + 4,)
    assert network.probabilities(outputs, "clip").argmax() == 0
    assert network.probabilities(outputs, "live").argmax() == 0
    assert network.audioset(outputs)[CLASSES.index("Typewriter")] == pytest.approx(0.88, abs=0.01)
    assert network.part(outputs, "embedding").shape == (4,)
    assert network.probabilities(network.outputs(network.log_mel(high)), "clip").argmax() == 1


def test_parts_are_cut_in_their_order():
    """Each part is its own range of the output tensor; a missing part is an error."""
    manifest = fake_bundle().manifest
    audioset = FakeNetwork(manifest.networks["audioset"])
    outputs = np.arange(537, dtype=np.float32)
    assert audioset.part(outputs, "live").tolist() == [3, 4, 5]
    assert audioset.part(outputs, "audioset").tolist() == list(range(6, 533))
    assert audioset.part(outputs, "embedding").tolist() == [533, 534, 535, 536]
    inception = FakeNetwork(manifest.networks["inception"])
    assert inception.audioset(np.zeros(3, np.float32)) is None
    with pytest.raises(KeyError):
        inception.part(np.zeros(3, np.float32), "embedding")


def test_a_network_without_a_live_head_uses_the_one_for_clips():
    """Each head has its own temperature; without a live head, that for clips scores live sound."""
    manifest = fake_bundle().manifest
    audioset, inception = (FakeNetwork(manifest.networks[name]) for name in ("audioset", "inception"))
    logits = np.array([1.0, 0.0, 0.0], np.float32)
    outputs = np.concatenate([logits, logits, np.zeros(531, np.float32)])
    np.testing.assert_allclose(audioset.probabilities(outputs, "clip"), softmax(logits))
    np.testing.assert_allclose(audioset.probabilities(outputs, "live"), softmax(logits / 2))
    np.testing.assert_allclose(inception.probabilities(logits, "live"), softmax(logits))


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=12))
def test_softmax(logits):
    """The softmax sums to 1, keeps the order, and does not overflow."""
    result = softmax(np.array(logits, np.float32))
    assert result.sum() == pytest.approx(1, abs=1e-5)
    assert result[np.argmax(logits)] == result.max()


@given(st.floats(-500, 500))
def test_sigmoid(logit):
    """The sigmoid lies in 0 to 1, is symmetric about 0, and does not overflow."""
    low, high = sigmoid(np.array([logit, -logit], np.float32))
    assert 0 <= low <= 1
    assert low + high == pytest.approx(1, abs=1e-6)
    assert (low > 0.5) == (logit > 0) or low == pytest.approx(0.5, abs=1e-6)
