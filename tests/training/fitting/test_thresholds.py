"""Live odds and thresholds, on soundings that a reader can check."""

import numpy as np
import pytest

from device.model.classifier import softmax
from device.model.features import FeatureConfig
from training.data.ambience import Ambience
from training.data.spectrograms import Spectrograms
from training.fitting.thresholds import (
    CLEAR_DB,
    FAINT_ODDS,
    FALSE_ALARMS_PER_HOUR,
    ODDS_CANDIDATES,
    THRESHOLD_CANDIDATES,
    AmbienceSpan,
    ambience_spans,
    choose_live_rule,
)

FEATURES = FeatureConfig()


def place(alarms, logit=4.0, outputs=3, rise_db=CLEAR_DB, windows=5):
    """An hour of ambience, in which "a" stands out from none of them so many times, for some windows a second apart."""
    logits = np.zeros((windows, outputs), np.float32)
    logits[:, outputs - 1] = 6.0
    logits[:, 0] = 6.0 + logit
    start = np.arange(windows) * FEATURES.sample_rate
    return [AmbienceSpan(softmax(logits), start, np.full(windows, rise_db))] * alarms


def judged(heard):
    return choose_live_rule(("a", "b"), heard, 1.0, FEATURES)


def test_few_false_alarms_need_no_more_than_the_least_odds():
    """A place with fewer false alarms than are allowed asks for no more than every place."""
    rule = judged(place(alarms=int(FALSE_ALARMS_PER_HOUR) - 1, logit=8.0))
    assert rule.odds == ODDS_CANDIDATES[0]


def test_odds_silence_what_comes_too_often():
    """Where false alarms are too many, "none of them" is made likelier, by no more than it takes."""
    many = judged(place(alarms=40, logit=8.0))
    three_windows = np.exp(8.0 * (1 + 0.25 * 2 / 3))  # of five seconds in all
    assert many.odds * many.thresholds["a"].live_odds == pytest.approx(three_windows, rel=0.5)
    assert many.false_alarms["a"][0] <= FALSE_ALARMS_PER_HOUR
    assert judged(place(alarms=40, logit=7.0)).odds < many.odds


def test_a_label_that_ambience_is_often_taken_for_needs_more_evidence():
    """Odds go by how often each label is taken for, one more than counted: 16 and 1 are four times and a quarter."""
    rule = judged(place(alarms=15, logit=1.0))
    assert {label: each.live_odds for label, each in rule.thresholds.items()} == {"a": 4.0, "b": 0.25}
    assert {each.live_odds for each in judged(place(alarms=15, logit=-1.0)).thresholds.values()} == {1.0}


def test_a_label_of_many_false_alarms_gets_a_threshold_of_its_own():
    """Within the odds that all share, a label with more than an even share of the false alarms is held back."""
    rule = judged(place(alarms=int(FALSE_ALARMS_PER_HOUR), logit=7.0))
    assert rule.odds == ODDS_CANDIDATES[0]
    assert rule.thresholds["a"].threshold > THRESHOLD_CANDIDATES[0]
    assert rule.thresholds["a"].false_alarms_per_hour <= FALSE_ALARMS_PER_HOUR / 2
    assert rule.thresholds["b"].threshold == THRESHOLD_CANDIDATES[0]


def test_faint_sounds_need_no_odds_of_their_own():
    """What hardly rises above the floor is silenced by that, so that clear sounds need not be."""
    faint = judged(place(alarms=40, logit=11.0, rise_db=CLEAR_DB - 10.0))
    assert faint.odds == pytest.approx(judged(place(alarms=40, logit=11.0)).odds / FAINT_ODDS**10, rel=0.5)


def test_without_an_output_for_it_nothing_is_shifted():
    """A network that cannot say "none of them" keeps its scores."""
    assert judged(place(alarms=30, outputs=2)).odds == 1.0


def test_without_ambience_nothing_is_shifted():
    """Nobody has measured false alarms: odds are even, thresholds the lowest, rates 0."""
    rule = choose_live_rule(("a", "b"), [], 0.0, FEATURES)
    assert rule.odds == 1.0
    assert {(each.threshold, each.false_alarms_per_hour) for each in rule.thresholds.values()} == {
        (THRESHOLD_CANDIDATES[0], 0.0)
    }


def test_windows_of_one_sounding_stay_together():
    """Soundings are told apart by clip and by where the gate opened; windows of unjudged folds are left out."""
    clip = np.array([3, 3, 3, 4, 4], np.int32)
    windows = Spectrograms(np.zeros((5, 1, 1), np.int8), clip, np.zeros_like(clip))
    sound, start = np.array([0, 0, 70, 70, 70]), np.arange(5) * 10
    ambience = Ambience(windows, sound, start, np.zeros(5), np.zeros(5))
    found = ambience_spans(ambience, np.array([0, 1, 2, 4]), np.zeros((4, 3), np.float32))
    assert [each.start.tolist() for each in found] == [[0, 10], [20], [40]]
    assert ambience_spans(ambience, np.array([], np.intp), np.zeros((0, 3), np.float32)) == []
