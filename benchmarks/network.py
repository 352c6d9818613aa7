"""Network benchmark: accuracy of Earshot and two alternatives, on the same clips and the same folds.

    python benchmarks/network.py --data DIR --run runs/urbansound8k --weights FILE --yamnet yamnet.tflite

Each test fold is scored by heads fitted on all other folds:

- Earshot: the accuracy from `earshot-train evaluate` (int8, through the device's code, `unknown` counts as an error);
- YAMNet: its 1024-d embedding and its 521 scores, averaged over one centred 3 s window, plus logistic regression;
- the article's method: frozen Inception V3, last layer at 299x299, plus logistic regression.

The regularization of the baselines is the best of three *on the test fold*, an advantage over Earshot.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from device.audio.files import read_samples
from device.model.features import FeatureConfig, log_mel
from device.types import Samples
from training.data.array_cache import Cache, file_digest
from training.data.dataset import Clip, Dataset
from training.data.parallel import parallel_map
from training.data.progress import progress
from training.data.urbansound8k import load_urbansound8k
from training.distillation.yamnet import SAMPLE_RATE, Teacher
from training.fitting.head_trainer import label_indices
from training.models.tf import import_tensorflow

REGULARIZATIONS = (0.001, 0.01, 0.1)
"""Values of C of the logistic regression."""
SIDE = 299
"""Side of Inception V3's input, pixels."""


def main() -> int:
    """Print the table of accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="UrbanSound8K")
    parser.add_argument("--run", type=Path, required=True, help="--output of earshot-train, after `evaluate`")
    parser.add_argument("--weights", required=True, help="Inception V3's weights file (2015-12-05, without top)")
    parser.add_argument("--yamnet", type=Path, required=True, help="yamnet.tflite")
    options = parser.parse_args()
    dataset = load_urbansound8k(options.data)
    cache = Cache(options.run / "cache")
    clips = {"clips": [file_digest(clip.path) for clip in dataset.clips]}
    yamnet = cache.arrays("yamnet", clips, lambda: {"x": yamnet_features(dataset, options.yamnet)})["x"]
    article = cache.arrays("article", clips, lambda: {"x": last_layer(dataset, options.weights)})["x"]
    evaluation = json.loads((options.run / "evaluation.json").read_text(encoding="utf-8"))
    folds = [str(fold) for fold in dataset.evaluation_folds]
    rows = {
        "Earshot, int8 on the device's code": [evaluation["folds"][fold]["int8"] for fold in folds],
        "Earshot, float": [evaluation["folds"][fold]["float"] for fold in folds],
        "YAMNet embedding + logistic regression": accuracies(dataset, yamnet[:, :1024]),
        "YAMNet embedding and scores + l. r.": accuracies(dataset, yamnet),
        "article: Inception V3 last layer + l. r.": accuracies(dataset, article),
    }
    print(f"{dataset.description}\n")
    print(f"{'share of clips right, tested on fold':<42}" + "".join(f"{fold:>8}" for fold in folds) + "    mean")
    for name, values in rows.items():
        print(f"{name:<42}" + "".join(f"{100 * value:7.1f}%" for value in (*values, float(np.mean(values)))))
    return 0


def accuracies(dataset: Dataset, features: np.ndarray) -> list[float]:
    """Return the accuracy on each test fold of a logistic regression fitted on the other folds."""
    folds, target = np.array([clip.fold for clip in dataset.clips]), label_indices(dataset)
    values = []
    for fold in dataset.evaluation_folds:
        train, test = folds != fold, folds == fold
        models = (
            make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=200, tol=1e-3)) for c in REGULARIZATIONS
        )
        values.append(
            max(model.fit(features[train], target[train]).score(features[test], target[test]) for model in models)
        )
    return values


def centred(samples: Samples, length: int) -> Samples:
    """Return the middle of a clip, or a shorter clip followed by zeros, shape (length,)."""
    if len(samples) < length:
        return np.pad(samples, (0, length - len(samples)))
    start = (len(samples) - length) // 2
    return samples[start : start + length]


def yamnet_features(dataset: Dataset, model: Path) -> np.ndarray:
    """Compute the mean embedding and scores of each clip, shape (clips, 1545), float32."""

    def read(yamnet: Teacher, clip: Clip) -> np.ndarray:
        return yamnet(centred(read_samples(clip.path, SAMPLE_RATE), 3 * SAMPLE_RATE))

    features = parallel_map(lambda: Teacher(model), read, dataset.clips)
    return np.stack(list(progress(features, len(dataset.clips), "YAMNet")))


def last_layer(dataset: Dataset, weights: str) -> np.ndarray:
    """Compute frozen Inception V3's features of the log-mel, resized to 299x299, shape (clips, 2048)."""
    tf = import_tensorflow()
    model = original_inception(tf.keras, weights)
    run = tf.function(lambda x: model(tf.repeat(tf.image.resize(x[..., None], (SIDE, SIDE)), 3, axis=-1)))

    def spectrogram(features: FeatureConfig, clip: Clip) -> np.ndarray:
        samples = read_samples(clip.path, features.sample_rate)
        return log_mel(centred(samples, features.window_length), features).astype(np.float16)

    log_mels = parallel_map(FeatureConfig, spectrogram, dataset.clips)
    windows = np.stack(list(progress(log_mels, len(dataset.clips), "spectrograms")))
    batches = range(0, len(windows), 32)
    parts = [
        run(windows[i : i + 32].astype(np.float32)).numpy() for i in progress(batches, len(batches), "Inception V3")
    ]
    return np.concatenate(parts)


def original_inception(keras: Any, weights: str) -> Any:
    """Make Inception V3 of 2015-12-05: its last block has maximum pooling, where Keras has average pooling."""
    model = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3), pooling="avg")
    model.load_weights(weights)
    averages = [layer.name for layer in model.layers if type(layer).__name__ == "AveragePooling2D"]

    def clone(layer: Any) -> Any:
        if layer.name == averages[-1]:
            return keras.layers.MaxPooling2D(3, strides=1, padding="same", name="last_pool")
        return layer.__class__.from_config(layer.get_config())

    original = keras.models.clone_model(model, clone_function=clone)
    original.set_weights(model.get_weights())
    return original


if __name__ == "__main__":
    sys.exit(main())
