from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.types import UNKNOWN
from training.data.array_cache import Cache
from training.data.dataset import Clip, Dataset
from training.data.spectrograms import Spectrograms
from training.fitting.backbone_features import Examples, QuantizationNoise
from training.fitting.calibration import clip_means
from training.fitting.head_trainer import HeadConfig, HeadTrainer


def exact(features):
    """A network that rounds nothing."""
    return QuantizationNoise(np.zeros((0, features), np.float32), np.zeros(0, np.int32))


class Told:
    """What a backbone makes of all clips of a dataset, told instead of computed."""

    def __init__(self, examples, key="told"):
        self.examples = examples
        self.asked = set()
        self.key = {"sight": key}

    def features(self, windows, description):
        self.asked |= set(windows.clip.tolist())
        return self.examples.features[windows.clip]


def trainer_of(dataset, examples, folder, config=HeadConfig(), key="told"):  # noqa: B008 - frozen
    """A trainer whose only backbone has heard no clip."""
    sight = Told(examples, key)
    return HeadTrainer(dataset, lambda fold: sight, config, Cache(folder))


def made(folds=(1, 3, 10), labels=("a", "b"), negatives=True, seed=0):
    """A dataset and features in which each label lies around its own centre."""
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
    return Dataset("made", labels, tuple(clips), ""), examples


def test_head_learns_what_is_there(tmp_path):
    """Separated classes are told apart on validation folds."""
    dataset, examples = made()
    fitted = trainer_of(dataset, examples, tmp_path).fit(1)
    assert fitted.validation_accuracy > 0.9
    assert fitted.head.weights.shape == (6, 3)


def test_no_choice_depends_on_the_test_fold(tmp_path):
    """Garbage in the test fold changes nothing about the network that will be tested on it."""
    dataset, examples = made()
    folds = np.array([clip.fold for clip in dataset.clips])
    spoiled = examples.features.copy()
    spoiled[folds == 3] = 7.0
    clean = trainer_of(dataset, examples, tmp_path / "clean").fit(3)
    errors = np.where(folds[:, np.newaxis] == 3, np.float32(9.0), examples.noise.errors)
    dirty_examples = Examples(spoiled, examples.clip, examples.copy, QuantizationNoise(errors, examples.clip))
    dirty = trainer_of(dataset, dirty_examples, tmp_path / "dirty").fit(3)
    assert clean.temperature == dirty.temperature
    assert clean.unknown_bias == dirty.unknown_bias
    assert clean.live_odds == dirty.live_odds
    assert clean.shrinkage == dirty.shrinkage
    for name, array in vars(clean.head).items():
        assert np.array_equal(array, getattr(dirty.head, name))


def test_unknown_costs_no_more_than_allowed(tmp_path):
    """The bias of "none of them" loses at most the stated share of labelled validation clips."""
    dataset, examples = made()
    trainer = trainer_of(dataset, examples, tmp_path, HeadConfig(unknown_cost=0.0))
    without_unknown, labelled_examples = made(negatives=False)
    fitted = trainer.fit(None)
    windows = Spectrograms(np.zeros((len(examples.clip), 1, 1), np.int8), examples.clip, examples.copy, {})
    judged, scores = trainer.predict_validation_folds(None, fitted, windows, "clips")
    clips, probabilities = clip_means(scores, examples.clip[judged])
    labelled = trainer.targets[clips] < 2
    right = (probabilities.argmax(axis=1) == trainer.targets[clips])[labelled].mean()
    best = (probabilities[:, :2].argmax(axis=1) == trainer.targets[clips])[labelled].mean()
    assert right >= best
    assert trainer_of(without_unknown, labelled_examples, tmp_path).fit(1).unknown_bias == 0


def test_live_odds_start_where_the_stated_share_would_be_lost(tmp_path):
    """What is given away among clips is asked for live: odds bring "none of them" to the bias of `live_cost`."""
    dataset, examples = made()
    trainer = trainer_of(dataset, examples, tmp_path, HeadConfig(unknown_cost=0.0, live_cost=0.3))
    generous = trainer.fit(None)
    strict = trainer_of(dataset, examples, tmp_path, HeadConfig(unknown_cost=0.3, live_cost=0.3)).fit(None)
    assert strict.live_odds == 1.0
    assert generous.live_odds > 1.0
    asked = generous.unknown_bias + generous.temperature * np.log(generous.live_odds)
    assert asked == pytest.approx(strict.unknown_bias, rel=1e-6)


def test_a_temperature_suits_heads_of_any_size(tmp_path):
    """Heads fitted on one fold and on three speak equally loudly of sounds that neither was fitted on."""
    rng = np.random.default_rng(5)
    clips, drawn = [], []
    for fold in (1, 2, 3, 10):
        for number, label in enumerate(("a", "b", UNKNOWN)):
            for recording in range(20):
                clips.append(Clip(f"{fold}-{label}-{recording}.wav", label, f"{fold}/{label}/{recording}", fold))
                drawn.append(rng.normal(size=60) + 1.0 * np.eye(60)[number])
    features = np.array(drawn, np.float16)
    unheard = np.array([clip.fold == 10 and clip.label != UNKNOWN for clip in clips])

    def loudness(*folds):
        heard = np.array([clip.fold in folds for clip in clips])
        count = np.count_nonzero(heard)
        examples = Examples(features[heard], np.arange(count), np.zeros(count, np.int32), exact(60))
        dataset = Dataset("made", ("a", "b"), tuple(clip for clip in clips if clip.fold in folds), "")
        logits = trainer_of(dataset, examples, tmp_path).head(None, None, 0.1)(features[unheard])[:, :2]
        return (logits[:, 0] - logits[:, 1]).std()

    assert loudness(3) == pytest.approx(loudness(1, 2, 3), rel=0.35)


def test_fits_are_taken_from_the_cache(tmp_path):
    """A second run with the same key fits nothing anew: a killed run resumes."""
    dataset, examples = made()
    trainer_of(dataset, examples, tmp_path).fit(1)
    nothing = Examples(np.full_like(examples.features, np.nan), examples.clip, examples.copy, examples.noise)
    files = sorted(tmp_path.iterdir())
    times = [path.stat().st_mtime_ns for path in files]
    try:
        trainer_of(dataset, nothing, tmp_path).head(1, 3, HeadConfig().shrinkages[0])
    finally:
        assert [path.stat().st_mtime_ns for path in files] == times


def test_a_head_speaks_of_a_fold_from_a_backbone_that_never_heard_it(tmp_path):
    """What is said of a validation fold comes from that fold's own backbone, clips and other windows alike."""
    dataset, examples = made()

    def rolled(fold):
        """Features in another order for each fold: a head for one backbone knows nothing of another's."""
        return np.roll(examples.features, fold or 0, axis=1)

    def sight(fold):
        told = Examples(rolled(fold), examples.clip, examples.copy, examples.noise)
        return Told(told, f"without {fold}")

    sights = {fold: sight(fold) for fold in (1, 3, 10)}
    trainer = HeadTrainer(dataset, sights.__getitem__, HeadConfig(), Cache(tmp_path))
    fitted = trainer.fit(1)
    assert fitted.validation_accuracy > 0.9
    labelled, tested = trainer.targets < 2, dataset.clip_folds == 1
    windows = Spectrograms(np.zeros((len(examples.clip), 1, 1), np.int8), examples.clip, examples.copy, {})
    judged, scores = trainer.predict_validation_folds(1, fitted, windows, "clips")
    assert set(dataset.clip_folds[judged]) == {3, 10}
    assert {fold: set(dataset.clip_folds[list(told.asked)]) for fold, told in sights.items()} == {
        1: set(),
        3: {3},
        10: {10},
    }
    assert (scores.argmax(axis=1) == trainer.targets[judged])[labelled[judged]].mean() > 0.9
    right = fitted.head(rolled(1)).argmax(axis=1) == trainer.targets
    assert right[labelled & tested].mean() > 0.9
    assert (fitted.head(rolled(3)).argmax(axis=1) == trainer.targets)[labelled & tested].mean() < 0.9


LABELS = ("a", "b")
clips = st.lists(st.tuples(st.sampled_from(LABELS), st.integers(0, 30)), min_size=1, max_size=80)


@given(clips)
def test_splits_share_neither_fold_nor_recording(drawn):
    """Whatever the clips, test, validation and training folds are disjoint, and so are their recordings."""
    made = tuple(Clip(Path(f"{i}.wav"), label, f"r{number}", number % 5) for i, (label, number) in enumerate(drawn))
    dataset = Dataset("drawn", LABELS, made, "")
    trainer = HeadTrainer(dataset, pytest.fail, HeadConfig(), Cache(Path("unused")))
    for test in dataset.evaluation_folds:
        for validation in trainer.validation_folds(test):
            train = {clip.fold for clip in made} - {test, validation}
            parts = [{test}, {validation}, train]
            recordings = [{clip.recording for clip in made if clip.fold in part} for part in parts]
            for left, right in ((0, 1), (0, 2), (1, 2)):
                assert not parts[left] & parts[right]
                assert not recordings[left] & recordings[right]
