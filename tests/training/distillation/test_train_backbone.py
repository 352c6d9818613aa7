"""The teacher here is a small one of our own, in YAMNet's shape: the real one is not part of the project."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from device.errors import ConfigError, InputError
from device.model.features import FeatureConfig, log_mel
from training.data.array_cache import Cache
from training.data.loading import load_dataset
from training.data.mixing import MixtureConfig, Mixtures, at_peak
from training.data.spectrograms import SpectrogramConfig, Spectrograms, quantize
from training.distillation import train_backbone as teaching
from training.distillation.targets import LessonConfig, hear_clips, prepare_lesson
from training.distillation.train_backbone import TeachConfig, first_guess, look, teach
from training.distillation.yamnet import EMBEDDING, Teacher
from training.evaluation.tensorboard import read_curves
from training.fitting.fine_tuning import FineTuneConfig
from training.fitting.head_trainer import HeadConfig
from training.models.backbone import BackboneConfig, build_backbone, load_colour, save_weights
from training.models.head import LIMIT, pool, predict
from training.workflow import adapt_backbone as adapt
from training.workflow.experiment_data import Material, Recipe
from training.workflow.run import Run

SMALL = FeatureConfig(win_length_seconds=0.039, hop_length_seconds=0.039, mel_bands=75)
SHAPE = (SMALL.mel_bands, SMALL.frames)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A folder of tones and noises, one of them silent, one shorter than a window."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    time = np.arange(16000 * 4) / 16000
    for number in range(4):
        soundfile.write(folder / f"tone{number}.wav", 0.3 * np.sin(2 * np.pi * 300 * (number + 1) * time), 16000)
        soundfile.write(folder / f"noise{number}.flac", 0.1 * rng.normal(size=16000 * (number + 1)), 16000)
    (folder / "below").mkdir()
    soundfile.write(folder / "below" / "silence.wav", np.zeros(16000), 16000)
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """15,600 samples -> 1024 energies in bands of time and frequency -> 521 scores."""
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


LESSON = LessonConfig(features=SMALL, windows=96)
TEACH = TeachConfig(passes=2, precision="float32")


def test_windows_are_sounding_and_reproducible(sounds):
    """Every window has the same peak, none is silent, and the same seed gives the same."""
    mixtures = Mixtures([sounds], 16000, MixtureConfig())
    windows = [mixtures.draw(48000, np.random.default_rng(seed)) for seed in range(20)]
    assert all(np.abs(window).max() == 16384 or np.abs(window).max() == 16383 for window in windows)
    assert np.array_equal(windows[3], mixtures.draw(48000, np.random.default_rng(3)))
    assert not np.array_equal(windows[3], windows[4])


def test_backbone_learns_what_the_teacher_says(sounds, teacher, tmp_path):
    """The loss falls, and what changes lies above the stem."""
    lesson = prepare_lesson([sounds], teacher, LESSON, Cache(tmp_path / "cache"))
    assert lesson.windows.shape == (96, *SHAPE)
    assert lesson.embeddings.shape == (96, EMBEDDING)
    start = load_colour(BackboneConfig("random", ("mixed0",)), SHAPE)
    save_weights(start, "mixed0", tmp_path / "start.npz")
    backbone = BackboneConfig(str(tmp_path / "start.npz"), ("mixed0",))
    path = teach(lesson, look(backbone, lesson.windows), backbone, TEACH, tmp_path / "out", "backbone")
    losses = list(read_curves(tmp_path / "out" / "summaries" / "backbone" / "train")["epoch_loss"].values())
    assert losses[-1] < losses[0]
    with np.load(tmp_path / "start.npz") as before, np.load(path) as after:
        same = [np.array_equal(before[name], after[name]) for name in sorted(before.files) if name != "last_layer"]
    stem = 5 * 4  # five convolutions, each with a kernel and three arrays of its normalisation
    assert all(same[:stem])
    assert not any(same[stem:])


def test_weights_are_brought_back_towards_those_from_before(sounds, teacher, tmp_path):
    """A backbone that keeps half of its weights lies midway between where it was and where it would have gone."""
    lesson = prepare_lesson([sounds], teacher, LESSON, Cache(tmp_path / "cache"))
    save_weights(load_colour(BackboneConfig("random", ("mixed0",)), SHAPE), "mixed0", tmp_path / "start.npz")
    start = BackboneConfig(str(tmp_path / "start.npz"), ("mixed0",))
    seen = look(start, lesson.windows)
    path = {
        kept: teach(lesson, seen, start, replace(TEACH, kept=kept), tmp_path / f"kept {kept}", "backbone")
        for kept in (0.0, 0.5)
    }
    moved = missed = 0.0
    with np.load(start.weights) as here, np.load(path[0.0]) as there, np.load(path[0.5]) as midway:
        for name in set(here.files) - {"last_layer"}:
            old, new = here[name].astype(np.float32), there[name].astype(np.float32)
            moved += float(np.abs(new - old).sum())
            missed += float(np.abs(midway[name] - (old + new) / 2).sum())
    assert missed < 0.1 * moved


def test_lesson_goes_on_after_an_interruption(sounds, teacher, tmp_path):
    """What the teacher said is kept: a second run needs no sounds to say it again."""
    cache = Cache(tmp_path)
    first = prepare_lesson([sounds], teacher, LESSON, cache)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = prepare_lesson([sounds], teacher, LESSON, cache)
    assert np.array_equal(first.embeddings, again.embeddings)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_a_wrong_teacher_is_told(tmp_path, content):
    """A teacher that is no TFLite model is one clear error."""
    path = tmp_path / "teacher.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"teacher\.tflite"):
        Teacher(path)


def test_a_missing_folder_of_sounds_is_told(tmp_path):
    """An empty folder teaches nothing, and is named."""
    with pytest.raises(InputError, match="no sound"):
        Mixtures([tmp_path], 16000, MixtureConfig())


@pytest.mark.parametrize(
    ("flags", "precision"), [("flags: fma avx2", "float32"), ("flags: avx512f avx512_bf16", "mixed_bfloat16")]
)
def test_bfloat16_is_used_where_the_processor_knows_it(monkeypatch, flags, precision):
    """Elsewhere it is emulated, and teaching would take half a day instead of an hour."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: [])
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: flags)
    assert teaching._precision() == precision


def test_teaching_starts_from_the_first_guess(sounds, teacher, tmp_path):
    """The guess tells much of the teacher's embedding, and is what the network says before its first step."""
    lesson = prepare_lesson([sounds], teacher, LESSON, Cache(tmp_path))
    start = load_colour(BackboneConfig("random", ("mixed1",)), SHAPE)
    save_weights(start, "mixed1", tmp_path / "start.npz")
    backbone = BackboneConfig(str(tmp_path / "start.npz"), ("mixed0", "mixed1"))
    grey = build_backbone(backbone, SHAPE)
    features = pool(grey, Spectrograms(lesson.windows, *[np.zeros(96, np.int32)] * 2), "")
    targets = lesson.targets(np.arange(len(lesson)))
    guess = first_guess(features, targets)
    guessed = guess(features)
    assert np.square(guessed - targets).mean() < np.square(targets).mean() / 2
    seen = look(backbone, lesson.windows)
    network = teaching._with_embedding(load_colour(backbone, SHAPE), backbone, guess)
    said = network.predict(seen.astype(np.float32), verbose=0)
    # Beyond LIMIT a head clips, and teaching does not.
    within = np.abs((features.astype(np.float32) - guess.mean) / guess.scale).max(axis=1) < LIMIT
    assert within.sum() > 20
    assert said[within] == pytest.approx(guessed[within], abs=0.05)


@pytest.fixture(scope="module")
def street(urbansound8k, negatives, tmp_path_factory):
    """A run that has clips to adapt to."""
    recipe = Recipe(
        SpectrogramConfig(features=SMALL, copies=1),
        BackboneConfig("random", ("mixed0",)),
        HeadConfig(),
        FineTuneConfig(),
    )
    return Run(load_dataset(urbansound8k, [negatives]), recipe, tmp_path_factory.mktemp("street"), "")


def test_the_teacher_hears_clips_and_copies_as_loud_as_sounds(street, teacher, tmp_path):
    """Embeddings lie beside the windows that they belong to, and a clip's level changes none."""
    lesson = hear_clips(street.material.maker, teacher, Cache(tmp_path))
    parts = street.material.parts
    assert np.array_equal(lesson.windows, np.concatenate([part.quantized for part in parts]))
    copied = list(street.material.maker.samples(1))
    last = len(lesson.windows) - 1
    for row, window in ((len(parts[0]), copied[0]), (last, copied[-1])):
        for heard in (window, window // 2):
            assert lesson.embeddings[row] == pytest.approx(
                Teacher(teacher)(at_peak(heard))[:EMBEDDING], rel=0.02, abs=0.02
            )
    assert np.array_equal(quantize(log_mel(copied[-1], SMALL)), lesson.windows[last])


def test_weights_for_a_fold_are_taught_without_it(street, sounds, teacher, monkeypatch):
    """No window of a judged fold, labelled or not, is in the lesson of the weights that it judges."""
    lessons = {}

    def note(lesson, seen, backbone, config, folder, name, rows, guess):
        lessons[name] = {window.tobytes() for window in lesson.windows[rows]}
        assert np.array_equal(seen[rows[:2]], look(backbone, lesson.windows[rows[:2]]))
        return folder / f"{name}.npz"

    monkeypatch.setattr(adapt, "teach", note)
    assert street.adapt(teacher, [sounds], LESSON, TEACH) == street.output / "adapted"
    clip = np.concatenate([part.clip for part in street.material.parts])
    windows = np.concatenate([part.quantized for part in street.material.parts])
    folds = street.dataset.clip_folds[clip]
    assert set(lessons) == {"fold-1", "fold-3", "fold-10", "backbone"}
    for fold in (1, 3, 10):
        assert not any(window.tobytes() in lessons[f"fold-{fold}"] for window in windows[folds == fold])
        assert all(window.tobytes() in lessons[f"fold-{fold}"] for window in windows[folds != fold])
    assert all(window.tobytes() in lessons["backbone"] for window in windows)


@pytest.mark.parametrize(
    ("weights", "error", "told"), [("none.npz", InputError, r"none\.npz"), (".", ConfigError, "from one file")]
)
def test_weights_that_do_not_serve_are_told_before_the_teacher_is_asked(street, tmp_path, weights, error, told):
    """Hearing sounds and clips takes a quarter of an hour: a wrong path, or a folder of weights, is told before."""
    recipe = replace(street.recipe, backbone=BackboneConfig(str(tmp_path / weights), ("mixed0",)))
    run = Run(street.dataset, recipe, street.output, "")
    with pytest.raises(error, match=told):
        run.adapt(tmp_path / "none.tflite", [tmp_path / "no sounds"], LESSON, TEACH)


def test_wrong_sounds_are_told_before_clips_are_looked_at(street, teacher, tmp_path, monkeypatch):
    """Features of all clips take minutes: a folder without sounds is told before."""
    monkeypatch.setattr(Material, "examples", property(lambda material: pytest.fail("looked at the clips")))
    with pytest.raises(InputError, match="no sound"):
        street.adapt(teacher, [tmp_path], LESSON, TEACH)


def test_a_pupil_with_random_weights_sees_through_its_own_stem(tmp_path):
    """What the stem saw beforehand is what the pupil's stem sees: random weights are one draw."""
    random = BackboneConfig("random", ("mixed0",))
    windows = np.random.default_rng(0).integers(-127, 128, (2, *SHAPE), np.int8)
    tf.keras.utils.set_random_seed(5)
    save_weights(load_colour(random, SHAPE), "mixed0", tmp_path / "drawn.npz")
    tf.keras.utils.set_random_seed(6)
    drawn = look(BackboneConfig(str(tmp_path / "drawn.npz"), ("mixed0",)), windows)
    assert drawn.std() > 0
    assert look(random, windows) == pytest.approx(drawn, rel=0.02, abs=0.01)


def test_each_network_gets_the_weights_that_never_heard_its_fold(street, tmp_path):
    """Of a folder of weights each fold's network takes its own, and the one that ships the last; none is left out."""
    for number, name in enumerate(("fold-1", "fold-3", "fold-10", "backbone")):
        tf.keras.utils.set_random_seed(number)
        save_weights(load_colour(BackboneConfig("random", ("mixed0",)), SHAPE), "mixed0", tmp_path / f"{name}.npz")
    recipe = replace(street.recipe, backbone=BackboneConfig(str(tmp_path), ("mixed0",)))
    run = Run(street.dataset, recipe, street.output, "")
    run.prepare()
    run.train()
    for fold, name in ((1, "fold-1"), (3, "fold-3"), (10, "fold-10"), (None, "backbone")):
        network, keras = run._load(f"fold-{fold}" if fold else "all")
        own = BackboneConfig(str(tmp_path / f"{name}.npz"), ("mixed0",))
        assert network.settings["backbone"] == own.key()
        drawn = run.material.fold_windows(fold or 1)
        assert run._logits(network, keras, drawn) == pytest.approx(predict(keras, drawn.log_mels), abs=0.05)
        assert predict(keras, drawn.log_mels) == pytest.approx(
            predict(network.keras(own, SHAPE), drawn.log_mels), abs=1e-4
        )
    (tmp_path / "fold-3.npz").unlink()
    with pytest.raises(InputError, match=r"fold-3\.npz"):
        Run(street.dataset, recipe, street.output, "").prepare()
