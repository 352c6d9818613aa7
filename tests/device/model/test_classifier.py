import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import ConfigError
from device.model.classifier import Classifier, softmax
from device.service.runtime import open_bundle


def test_scores_are_probabilities(bundle_path):
    """Any log-mel has one score for each label, 0 to 1, with a sum of at most 1, equal in each run."""
    bundle, classifier = open_bundle(bundle_path)
    for seed in range(3):
        log_mel = np.random.default_rng(seed).uniform(-1, 1, bundle.features.shape).astype(np.float32)
        scores = classifier(log_mel)
        assert scores.shape == (len(bundle.labels),)
        assert scores.dtype == np.float32
        assert scores.min() >= 0
        assert scores.sum() <= 1 + 1e-5
        np.testing.assert_array_equal(scores, classifier(log_mel))


def test_a_file_without_a_model_is_refused(tmp_path):
    """A file of noise is one clear error, not a crash of the interpreter."""
    path = tmp_path / "model.tflite"
    path.write_bytes(b"noise" * 100)
    with pytest.raises(ConfigError, match=r"model\.tflite: TFLite cannot load it"):
        Classifier(path, labels=2, temperature=1.0)


def test_a_model_of_another_shape_is_refused(bundle_path):
    """A network with another number of outputs than the bundle has labels is refused."""
    with pytest.raises(ConfigError, match="must be int8 in and out with 3 or 4 outputs"):
        Classifier(bundle_path / "model.tflite", labels=3, temperature=1.0)


def test_loading_prints_nothing(bundle_path, capfd):
    """The messages of TFLite are suppressed."""
    open_bundle(bundle_path)
    assert capfd.readouterr() == ("", "")


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=12))
def test_softmax(logits):
    """The softmax sums to 1, keeps the order, and does not overflow."""
    result = softmax(np.array(logits, np.float32))
    assert result.sum() == pytest.approx(1, abs=1e-5)
    assert result[np.argmax(logits)] == result.max()
