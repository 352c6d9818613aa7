"""EfficientAT mn04, rebuilt in Keras."""

import numpy as np
import pytest

from device.errors import InputError
from training.models.efficientat import (
    CLASSES,
    EMBEDDING,
    HIDDEN,
    array_shapes,
    build_audioset_network,
    build_mn04,
    load_arrays,
)
from training.models.head import Head

SHAPE = (128, 301)


def test_arrays_are_those_of_the_checkpoint(audioset_weights):
    """A file with every array loads; mn04 has 993,000 parameters beside its normalization statistics."""
    arrays = load_arrays(audioset_weights)
    parameters = sum(array.size for name, array in arrays.items() if ".running_" not in name)
    assert len(arrays) == len(array_shapes())
    assert parameters == pytest.approx(993_000, rel=0.01)


@pytest.mark.parametrize("fault", ["missing", "no archive", "another network", "an array missing"])
def test_wrong_weights_are_one_clear_line(tmp_path, audioset_weights, fault):
    """Missing weights, or those of another network, are one line with the path, the source and the licence."""
    path = tmp_path / "mn04.npz"
    arrays = load_arrays(audioset_weights)
    if fault == "no archive":
        path.write_bytes(b"weights")
    if fault == "another network":
        np.savez(path, **{**arrays, "classifier.5.weight": np.zeros((10, HIDDEN), np.float32)})
    if fault == "an array missing":
        np.savez(path, **{name: array for name, array in arrays.items() if name != "features.0.0.weight"})
    with pytest.raises(InputError) as caught:
        load_arrays(path)
    text = str(caught.value)
    assert str(path) in text
    assert "mn04_as_mAP_432.pt (MIT licence)" in text
    assert "\n" not in text


def test_the_shipped_network_computes_heads_classes_and_embedding(audioset_weights):
    """The output holds the heads of the same features, the logits of AudioSet's classes, and the embedding."""
    arrays = load_arrays(audioset_weights)
    rng = np.random.default_rng(0)
    log_mel = rng.normal(size=(1, *SHAPE, 1)).astype(np.float32)
    embedding, hidden, logits = (np.asarray(part) for part in build_mn04(arrays, SHAPE)(log_mel))
    assert (embedding.shape, hidden.shape, logits.shape) == ((1, EMBEDDING), (1, HIDDEN), (1, CLASSES))
    features = np.concatenate([embedding, hidden, logits], axis=1)
    shift, scale = rng.normal(0, 3, features.shape[1]), rng.uniform(0.5, 1, features.shape[1])
    heads = {
        name: Head(
            (features[0] + shift).astype(np.float32),
            scale.astype(np.float32),
            rng.normal(0, 0.1, (features.shape[1], outputs)).astype(np.float32),
            rng.normal(size=outputs).astype(np.float32),
        )
        for name, outputs in (("clip", 4), ("live", 3))
    }
    (output,) = np.asarray(build_audioset_network(arrays, SHAPE, heads)(log_mel))
    expected = np.concatenate([*(head(features)[0] for head in heads.values()), logits[0], embedding[0]])
    assert output == pytest.approx(expected, abs=1e-3 * np.abs(expected).max())


@pytest.mark.shared
def test_outputs_are_those_of_the_pytorch_network(shared):
    """Embedding, hidden layer and logits are those of the PyTorch network for three stored log-mels."""
    arrays = load_arrays(shared / "weights" / "efficientat_mn04_as.npz")
    with np.load(shared / "weights" / "efficientat_mn04_golden.npz") as golden:
        outputs = build_mn04(arrays, SHAPE)(golden["log_mel"][..., np.newaxis])
        for name, computed in zip(("embedding", "hidden", "logits"), outputs, strict=True):
            assert np.asarray(computed) == pytest.approx(golden[name], abs=1e-3)
