"""Heads, and the choice of their hyperparameters."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.types import UNKNOWN
from training.data.array_cache import Cache
from training.data.dataset import TRAINING_FOLD, Clip, Dataset
from training.data.windows import SampleWindows
from training.fitting.backbone_features import Examples, QuantizationNoise
from training.fitting.calibration import clip_means
from training.fitting.head_trainer import HeadConfig, HeadTrainer


def exact(features):
    """Return the noise of a network without rounding errors."""
    return QuantizationNoise(np.zeros((0, features), np.float32), np.zeros(0, np.int32))


class FakeFeatures:
    """Backbone features of all clips of a dataset, given instead of computed."""

    def __init__(self, examples, key="fake"):
        self.examples = examples
        self.requested = set()
        self.key = {"sight": key}

    def window_features(self, windows, rows, description):
        self.requested |= set(windows.clip[rows].tolist())
        return self.examples.features[windows.clip[rows]]


def trainer_of(dataset, examples, folder, config=HeadConfig(), key="fake"):  # noqa: B008 - frozen
    """Return a trainer with one backbone for all folds."""
    features = FakeFeatures(examples, key)
    return HeadTrainer(dataset, lambda fold: features, config, Cache(folder))


def make_examples(folds=(1, 3, 10), labels=("a", "b"), negatives=True, seed=0):
    """Return a dataset, and features in which each label has its own centre."""
    rng = np.random.default_rng(seed)
    clips, features = [], []
    names = (*labels, UNKNOWN) if negatives else labels
    for fold in folds:
        for number, label in enumerate(names):
            for recording in range(12):
                clips.append(Clip(f"{fold}-{label}-{recording}.wav", label, f"{fold}/{label}/{recording}", fold))
                features.append(rng.normal(size=6) + 3.0 * np.eye(6)[number])
    count = len(clips)
    clip = np.arange(count, dtype=np.int32)
    rounding = QuantizationNoise(rng.normal(0.0, 0.1, (count, 6)).astype(np.float32), clip)
    examples = Examples(np.array(features, np.float16), clip, np.zeros(count, np.int32), rounding)
    return Dataset("synthetic", labels, tuple(clips), ""), examples


def test_separated_classes_are_learned(tmp_path):
    """Separated classes are distinguished on validation folds."""
    dataset, examples = make_examples()
    fitted = trainer_of(dataset, examples, tmp_path).fit(1)
    assert fitted.validation_accuracy > 0.9
    assert fitted.head.weights.shape == (6, 3)


def test_no_choice_depends_on_the_test_fold(tmp_path):
    """Random features in the test fold change nothing in the network that is tested on it."""
    dataset, examples = make_examples()
    folds = np.array([clip.fold for clip in dataset.clips])
    corrupted = examples.features.copy()
    corrupted[folds == 3] = 7.0
    clean = trainer_of(dataset, examples, tmp_path / "clean").fit(3)
    errors = np.where(folds[:, np.newaxis] == 3, np.float32(9.0), examples.noise.errors)
    dirty_examples = Examples(corrupted, examples.clip, examples.copy, QuantizationNoise(errors, examples.clip))
    dirty = trainer_of(dataset, dirty_examples, tmp_path / "dirty").fit(3)
    assert clean.temperature == dirty.temperature
    assert clean.unknown_bias == dirty.unknown_bias
    assert clean.live_odds == dirty.live_odds
    assert clean.shrinkage == dirty.shrinkage
    for name, array in vars(clean.head).items():
        assert np.array_equal(array, getattr(dirty.head, name))


def test_unknown_costs_no_more_than_allowed(tmp_path):
    """The bias of `unknown` costs at most the given share of labelled validation clips."""
    dataset, examples = make_examples()
    trainer = trainer_of(dataset, examples, tmp_path, HeadConfig(unknown_cost=0.0))
    without_unknown, labelled_examples = make_examples(negatives=False)
    fitted = trainer.fit(None)
    windows = SampleWindows(examples.clip, lambda rows: iter(()), {})
    rows, scores = trainer.predict_validation_folds(None, fitted, windows, "clips")
    clips, probabilities = clip_means(scores, examples.clip[rows])
    labelled = trainer.targets[clips] < 2
    right = (probabilities.argmax(axis=1) == trainer.targets[clips])[labelled].mean()
    best = (probabilities[:, :2].argmax(axis=1) == trainer.targets[clips])[labelled].mean()
    assert right >= best
    assert trainer_of(without_unknown, labelled_examples, tmp_path).fit(1).unknown_bias == 0


def test_live_odds_start_at_the_given_cost(tmp_path):
    """The initial live odds bring `unknown` to the bias of `live_cost`."""
    dataset, examples = make_examples()
    trainer = trainer_of(dataset, examples, tmp_path, HeadConfig(unknown_cost=0.0, live_cost=0.3))
    generous = trainer.fit(None)
    strict = trainer_of(dataset, examples, tmp_path, HeadConfig(unknown_cost=0.3, live_cost=0.3)).fit(None)
    assert strict.live_odds == 1.0
    assert generous.live_odds > 1.0
    reached = generous.unknown_bias + generous.temperature * np.log(generous.live_odds)
    assert reached == pytest.approx(strict.unknown_bias, rel=1e-6)


def test_a_temperature_fits_heads_of_any_number_of_clips(tmp_path):
    """Heads fitted on one fold and on three have similar logits on held-out sounds."""
    rng = np.random.default_rng(5)
    clips, drawn = [], []
    for fold in (1, 2, 3, 10):
        for number, label in enumerate(("a", "b", UNKNOWN)):
            for recording in range(20):
                clips.append(Clip(f"{fold}-{label}-{recording}.wav", label, f"{fold}/{label}/{recording}", fold))
                drawn.append(rng.normal(size=60) + 1.0 * np.eye(60)[number])
    features = np.array(drawn, np.float16)
    held_out = np.array([clip.fold == 10 and clip.label != UNKNOWN for clip in clips])

    def logit_spread(*folds):
        training = np.array([clip.fold in folds for clip in clips])
        count = np.count_nonzero(training)
        examples = Examples(features[training], np.arange(count), np.zeros(count, np.int32), exact(60))
        dataset = Dataset("synthetic", ("a", "b"), tuple(clip for clip in clips if clip.fold in folds), "")
        logits = trainer_of(dataset, examples, tmp_path).head(None, None, 0.1)(features[held_out])[:, :2]
        return (logits[:, 0] - logits[:, 1]).std()

    assert logit_spread(3) == pytest.approx(logit_spread(1, 2, 3), rel=0.35)


def test_fits_are_taken_from_the_cache(tmp_path):
    """A second run with the same key fits nothing, so an interrupted run continues."""
    dataset, examples = make_examples()
    trainer_of(dataset, examples, tmp_path).fit(1)
    nothing = Examples(np.full_like(examples.features, np.nan), examples.clip, examples.copy, examples.noise)
    files = sorted(tmp_path.iterdir())
    times = [path.stat().st_mtime_ns for path in files]
    try:
        trainer_of(dataset, nothing, tmp_path).head(1, 3, HeadConfig().shrinkages[0])
    finally:
        assert [path.stat().st_mtime_ns for path in files] == times


def test_each_fold_is_scored_with_a_backbone_not_trained_on_it(tmp_path):
    """Clips and other windows of a validation fold are scored with the backbone of that fold."""
    dataset, examples = make_examples()

    def rolled(fold):
        """Return features in another order for each fold, so that a head fits one backbone only."""
        return np.roll(examples.features, fold or 0, axis=1)

    def fold_features(fold):
        examples_of_fold = Examples(rolled(fold), examples.clip, examples.copy, examples.noise)
        return FakeFeatures(examples_of_fold, f"without {fold}")

    features_by_fold = {fold: fold_features(fold) for fold in (1, 3, 10)}
    trainer = HeadTrainer(dataset, features_by_fold.__getitem__, HeadConfig(), Cache(tmp_path))
    fitted = trainer.fit(1)
    assert fitted.validation_accuracy > 0.9
    labelled, tested = trainer.targets < 2, dataset.clip_folds == 1
    windows = SampleWindows(examples.clip, lambda rows: iter(()), {})
    rows, scores = trainer.predict_validation_folds(1, fitted, windows, "clips")
    assert set(dataset.clip_folds[rows]) == {3, 10}
    assert {fold: set(dataset.clip_folds[list(fake.requested)]) for fold, fake in features_by_fold.items()} == {
        1: set(),
        3: {3},
        10: {10},
    }
    assert (scores.argmax(axis=1) == trainer.targets[rows])[labelled[rows]].mean() > 0.9
    right = fitted.head(rolled(1)).argmax(axis=1) == trainer.targets
    assert right[labelled & tested].mean() > 0.9
    assert (fitted.head(rolled(3)).argmax(axis=1) == trainer.targets)[labelled & tested].mean() < 0.9


LABELS = ("a", "b")
clips = st.lists(st.tuples(st.sampled_from(LABELS), st.integers(0, 30)), min_size=1, max_size=80)


@given(clips)
def test_splits_share_neither_fold_nor_recording(drawn):
    """Test, validation and training folds of any clips are disjoint, and so are their recordings."""
    dataset_clips = tuple(
        Clip(Path(f"{i}.wav"), label, f"r{number}", number % 5) for i, (label, number) in enumerate(drawn)
    )
    dataset = Dataset("drawn", LABELS, dataset_clips, "")
    trainer = HeadTrainer(dataset, pytest.fail, HeadConfig(), Cache(Path("unused")))
    for test in dataset.evaluation_folds:
        for validation in trainer.validation_folds(test):
            train = {clip.fold for clip in dataset_clips} - {test, validation}
            parts = [{test}, {validation}, train]
            recordings = [{clip.recording for clip in dataset_clips if clip.fold in part} for part in parts]
            for left, right in ((0, 1), (0, 2), (1, 2)):
                assert not parts[left] & parts[right]
                assert not recordings[left] & recordings[right]


def with_training_clips(dataset, examples, tied_fold):
    """Return a dataset and features with two copies of a label's clip that only trains, tied to a fold."""
    clips = (*dataset.clips, Clip("extra.wav", "a", "extra", TRAINING_FOLD, None, (tied_fold,)))
    extended = Examples(
        np.concatenate([examples.features, np.full((2, 6), 50.0, np.float16)]),
        np.append(examples.clip, np.full(2, len(dataset.clips), np.int32)),
        np.append(examples.copy, np.array([0, 1], np.int32)),
        examples.noise,
    )
    return Dataset("extended", dataset.labels, clips, ""), extended


def test_a_clip_that_only_trains_is_left_out_with_its_tied_folds(tmp_path):
    """A clip that is tied to a fold changes the head without that fold in nothing, and other heads."""
    dataset, examples = make_examples()
    extended = with_training_clips(dataset, examples, tied_fold=3)
    plain, other = trainer_of(dataset, examples, tmp_path / "plain"), trainer_of(*extended, tmp_path / "extended")
    assert np.array_equal(plain.head(3, None, 0.1).weights, other.head(3, None, 0.1).weights)
    assert not np.array_equal(plain.head(1, None, 0.1).weights, other.head(1, None, 0.1).weights)
    assert other.validation_folds(None) == [1, 3, 10]


def test_a_copy_is_left_out_with_the_fold_of_its_background(tmp_path):
    """A copy of a clip that only trains is left out with the fold whose ambience was mixed into it."""
    dataset, examples = with_training_clips(*make_examples(), tied_fold=7)
    background = int(dataset.background_folds(1)[-1])
    trainer = trainer_of(dataset, examples, tmp_path)
    for fold in (1, 3, 10):
        assert trainer._left_out(examples.clip, examples.copy, [fold])[-2:].tolist() == [False, fold == background]


def test_ambience_is_scored_without_the_negatives_of_its_fold_alone(tmp_path):
    """With `ambience_with_labels`, the head for a fold's ambience is fitted on its labels, not on its negatives."""
    dataset, examples = make_examples()
    config = HeadConfig(ambience_with_labels=True)
    folds, negative = dataset.clip_folds, np.array([clip.label == UNKNOWN for clip in dataset.clips])

    def score(changed, name):
        features = examples.features.copy()
        features[changed] += np.float16(9.0)
        shifted = Examples(features, examples.clip, examples.copy, examples.noise)
        return trainer_of(dataset, shifted, tmp_path / name, config).head(3, 1, 0.1, with_labels=True).weights

    before = score(np.zeros(len(folds), bool), "before")
    assert np.array_equal(before, score((folds == 3) & negative, "negatives"))
    assert np.array_equal(before, score(folds == 1, "test fold"))
    assert not np.array_equal(before, score((folds == 3) & ~negative, "labels"))
    assert not np.array_equal(before, score((folds == 10) & negative, "other negatives"))
