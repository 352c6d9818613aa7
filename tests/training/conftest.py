"""Shared datasets and runs: a tiny UrbanSound8K of synthetic tones, noises and clicks."""

import csv
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import small_inception
import soundfile

from device.model.features import FeatureConfig
from training.data.loading import load_dataset
from training.data.spectrograms import SpectrogramConfig
from training.distillation.yamnet import EMBEDDING
from training.evaluation.scenes import SceneConfig
from training.fitting.fine_tuning import FineTuneConfig
from training.fitting.head_trainer import HeadConfig
from training.models.checkpoint import load_ensemble
from training.models.efficientat import array_shapes
from training.models.tf import import_tensorflow
from training.workflow.experiment_data import ExperimentConfig
from training.workflow.run import Run

# Of TensorFlow: `make test` runs one process for each core already, so more threads would wait for one another.
os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

RATE = 8000
LABELS = ("clicks", "hiss", "tone")
FOLDS = (1, 3, 10)

TINY = FeatureConfig(
    sample_rate=RATE, window_seconds=1.0, win_length_seconds=0.040, hop_length_seconds=0.012, mel_bands=75, fmax=4000.0
)
"""Slightly larger than the smallest spectrogram that Inception V3 accepts."""


def sound(label: str, rng: np.random.Generator, seconds: float = 1.2) -> np.ndarray:
    """Return a sound of a label that differs between recordings."""
    time = np.arange(int(seconds * RATE)) / RATE
    noise = rng.normal(size=len(time))
    signals = {
        "tone": np.sin(2 * np.pi * rng.uniform(300, 900) * time),
        "hiss": 0.3 * noise,
        "clicks": noise * (np.modf(time * rng.uniform(4, 8))[0] < 0.05),
        "hum": np.sign(np.sin(2 * np.pi * rng.uniform(40, 60) * time)),
    }
    return (0.3 * signals[label] + 0.003 * noise).astype(np.float32)


def write_urbansound8k(folder: Path, *, recordings: int = 3, clips: int = 2, suffix: str = ".wav") -> Path:
    """Write a dataset with `recordings` per label and fold, each of `clips`; one fold of its table has no clips."""
    rng = np.random.default_rng(1)
    rows = [["1-0-0-0.wav", "1", "0", "4", "1", "2", "0", "clicks"]]  # of fold 2, which has no clips
    for fold in FOLDS:
        (folder / "audio" / f"fold{fold}").mkdir(parents=True)
        for number, label in enumerate(LABELS):
            for recording in range(recordings):
                source = f"{fold}{number}{recording:02}"
                for clip in range(clips):
                    stem = f"{source}-{number}-0-{clip}"
                    path = folder / "audio" / f"fold{fold}" / f"{stem}{suffix}"
                    soundfile.write(path, sound(label, rng), RATE)
                    rows.append([f"{stem}.wav", source, "0", "1.2", str(1 + clip % 2), str(fold), str(number), label])
    (folder / "metadata").mkdir()
    with (folder / "metadata" / "UrbanSound8K.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"])
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="session")
def make_urbansound8k():
    """The function that writes such a dataset, for tests with other parameters."""
    return write_urbansound8k


@pytest.fixture(scope="session")
def write_silence():
    """The function that writes nearly silent sound files of given names below a folder, each with other content."""
    numbers = itertools.count()

    def write(folder: Path, names: list[str]) -> None:
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            samples, number = np.zeros(800, np.int16), next(numbers)
            samples[number % 800] = 1 + number // 800
            soundfile.write(path, samples, 8000)

    return write


@pytest.fixture(scope="session")
def make_class_folders(write_silence):
    """The function that writes a folder of numbered silent clips for each label."""

    def make(folder: Path, *labels: str, count: int = 20) -> Path:
        for label in labels:
            write_silence(folder / label, [f"{label}_{number}.wav" for number in range(count)])
        return folder

    return make


@pytest.fixture(scope="session")
def urbansound8k(tmp_path_factory) -> Path:
    return write_urbansound8k(tmp_path_factory.mktemp("urbansound8k"))


@pytest.fixture(scope="session")
def negatives(tmp_path_factory) -> Path:
    """Six short hums, three long ones (ambience), and a folder named like a label, which must be skipped."""
    folder = tmp_path_factory.mktemp("negatives")
    rng = np.random.default_rng(2)
    (folder / "tone").mkdir()
    soundfile.write(folder / "tone" / "loud.wav", sound("tone", rng), RATE)
    for number in range(9):
        soundfile.write(folder / f"hum{number}.wav", sound("hum", rng, 12.0 if number < 3 else 1.0), RATE)
    return folder


@pytest.fixture(scope="session")
def small_backbone():
    """The function that returns the configuration of a small Inception with some pooled layers."""
    with pytest.MonkeyPatch.context() as patch:
        small_inception.register(patch)
        yield small_inception.configure


@pytest.fixture(scope="session")
def experiment_config(small_backbone) -> ExperimentConfig:
    """A configuration for seconds: one copy, random weights, the first pooled block alone."""
    return ExperimentConfig(
        SpectrogramConfig(features=TINY, copies=1),
        small_backbone("mixed0"),
        HeadConfig(shrinkages=(0.1, 0.3)),
        FineTuneConfig(),
        SceneConfig(clips_per_label=2, lead_seconds=3.0, tail_seconds=1.0),
    )


@pytest.fixture(scope="session")
def trained(urbansound8k, negatives, experiment_config, tmp_path_factory) -> Run:
    """A run after all four steps."""
    dataset = load_dataset(urbansound8k, [negatives])
    run = Run(dataset, experiment_config, tmp_path_factory.mktemp("run"), "earshot-train retrain --data tiny")
    run.train()
    run.evaluate()
    run.export("tiny", "0.1.0")
    return run


@pytest.fixture(scope="session")
def load_inception():
    """The function that loads the network `inception` of a run, with its test fold and its Keras model."""

    def load(run: Run, name: str) -> tuple:
        ensemble = load_ensemble(run.output / "networks" / name)
        network, fold = ensemble.networks["inception"], ensemble.settings["test_fold"]
        return network, fold, run.data.inception.to_keras(network, fold)

    return load


@pytest.fixture(scope="session")
def small_features() -> FeatureConfig:
    """Features at 16 kHz, slightly larger than the smallest spectrogram that Inception V3 accepts."""
    return FeatureConfig(win_length_seconds=0.039, hop_length_seconds=0.039, mel_bands=75)


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    """A folder of tones and noises; one is silent, one shorter than a window."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    time = np.arange(16000 * 4) / 16000
    for number in range(4):
        soundfile.write(folder / f"tone{number}.wav", 0.3 * np.sin(2 * np.pi * 300 * (number + 1) * time), 16000)
        soundfile.write(folder / f"noise{number}.flac", 0.1 * rng.normal(size=16000 * (number + 1)), 16000)
    (folder / "below").mkdir()
    soundfile.write(folder / "below" / "silence.wav", np.zeros(16000), 16000)
    return folder


@pytest.fixture(scope="session")
def teacher(tmp_path_factory):
    """A small network with YAMNet's shapes, because the real one is not part of the project.

    15,600 samples -> 1024 energies in bands of time and frequency -> 521 scores.
    """
    tf = import_tensorflow()
    keras = tf.keras
    keras.utils.set_random_seed(0)
    samples = keras.Input(batch_shape=(1, 15600))
    parts = keras.layers.Reshape((15600, 1))(samples)
    bands = keras.layers.Conv1D(64, 160, strides=160, activation="relu")(parts)
    embedding = keras.layers.Dense(EMBEDDING, activation="relu")(keras.layers.GlobalAveragePooling1D()(bands))
    model = keras.Model(samples, keras.layers.Dense(521, activation="sigmoid")(embedding))
    path = tmp_path_factory.mktemp("teacher") / "teacher.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return path


@pytest.fixture(scope="session")
def adaptation_run(urbansound8k, negatives, small_features, small_backbone, tmp_path_factory):
    """A run with clips for adaptation."""
    config = ExperimentConfig(
        SpectrogramConfig(features=small_features, copies=1),
        small_backbone("mixed0"),
        HeadConfig(),
        FineTuneConfig(),
    )
    return Run(load_dataset(urbansound8k, [negatives]), config, tmp_path_factory.mktemp("street"), "")


@pytest.fixture(scope="session")
def audioset_weights(tmp_path_factory) -> Path:
    """Random weights with the names and shapes of EfficientAT mn04, scaled so that the signal keeps its size.

    They are exact in float16, and normalization has a factor of 1. So rounding changes the features little, although
    those of a random network hardly differ between sounds.
    """
    rng = np.random.default_rng(4)
    arrays = {}
    for name, shape in array_shapes().items():
        if name.endswith(".weight") and len(shape) > 1:
            arrays[name] = rng.normal(0.0, np.sqrt(1.0 / np.prod(shape[1:])), shape)
        elif name.endswith(".running_var"):
            arrays[name] = np.full(shape, 1.0 - 1e-3)
        elif name.endswith(".1.weight"):
            arrays[name] = np.ones(shape)
        else:
            arrays[name] = np.zeros(shape)
    path = tmp_path_factory.mktemp("audioset") / "mn04.npz"
    exact = {
        name: array if name.endswith(".running_var") else array.astype(np.float16) for name, array in arrays.items()
    }
    np.savez(path, **{name: array.astype(np.float32) for name, array in exact.items()})
    return path
