"""Live odds and thresholds, on simple spans of ambience."""

import numpy as np
import pytest

from device.model.classifier import softmax
from device.model.features import FeatureConfig
from training.data.ambience import Ambience
from training.data.windows import SampleWindows
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
    """An hour of ambience in which "a" exceeds `unknown` in `alarms` spans, each of some windows a second apart."""
    logits = np.zeros((windows, outputs), np.float32)
    logits[:, outputs - 1] = 6.0
    logits[:, 0] = 6.0 + logit
    start = np.arange(windows) * FEATURES.sample_rate
    return [AmbienceSpan(softmax(logits), start, np.full(windows, rise_db))] * alarms


def choose(spans):
    return choose_live_rule(("a", "b"), spans, 1.0, FEATURES.window_length)


def test_few_false_alarms_need_the_lowest_odds():
    """With fewer false alarms than allowed, the odds are the lowest candidate."""
    rule = choose(place(alarms=int(FALSE_ALARMS_PER_HOUR) - 1, logit=8.0))
    assert rule.odds == ODDS_CANDIDATES[0]


def test_many_false_alarms_need_higher_odds():
    """With too many false alarms, the odds of `unknown` rise by no more than necessary."""
    many = choose(place(alarms=40, logit=8.0))
    three_windows = np.exp(8.0 * (1 + 0.25 * 2 / 3))  # of five seconds in all
    assert many.odds * many.thresholds["a"].live_odds == pytest.approx(three_windows, rel=0.5)
    assert many.false_alarms["a"][0] <= FALSE_ALARMS_PER_HOUR
    assert choose(place(alarms=40, logit=7.0)).odds < many.odds


def test_odds_of_a_label_follow_its_false_alarms():
    """Odds of labels follow their false alarms, plus one: 16 and 1 give factors of four and a quarter."""
    rule = choose(place(alarms=15, logit=1.0))
    assert {label: each.live_odds for label, each in rule.thresholds.items()} == {"a": 4.0, "b": 0.25}
    assert {each.live_odds for each in choose(place(alarms=15, logit=-1.0)).thresholds.values()} == {1.0}


def test_a_label_of_many_false_alarms_gets_a_threshold_of_its_own():
    """A label with more than an equal share of the false alarms gets a higher threshold."""
    rule = choose(place(alarms=int(FALSE_ALARMS_PER_HOUR), logit=7.0))
    assert rule.odds == ODDS_CANDIDATES[0]
    assert rule.thresholds["a"].threshold > THRESHOLD_CANDIDATES[0]
    assert rule.thresholds["a"].false_alarms_per_hour <= FALSE_ALARMS_PER_HOUR / 2
    assert rule.thresholds["b"].threshold == THRESHOLD_CANDIDATES[0]


def test_faint_sounds_do_not_raise_the_odds():
    """False alarms of faint sounds are limited by `FAINT_ODDS`, so that the odds of clear sounds stay lower."""
    faint = choose(place(alarms=40, logit=11.0, rise_db=CLEAR_DB - 10.0))
    assert faint.odds == pytest.approx(choose(place(alarms=40, logit=11.0)).odds / FAINT_ODDS**10, rel=0.5)


def test_without_an_output_for_unknown_the_odds_are_1():
    """A network without an output for `unknown` keeps its scores."""
    assert choose(place(alarms=30, outputs=2)).odds == 1.0


def test_without_ambience_the_odds_are_1():
    """Without ambience the odds are 1, the thresholds the lowest, and the rates 0."""
    rule = choose_live_rule(("a", "b"), [], 0.0, FEATURES.window_length)
    assert rule.odds == 1.0
    assert {(each.threshold, each.false_alarms_per_hour) for each in rule.thresholds.values()} == {
        (THRESHOLD_CANDIDATES[0], 0.0)
    }


def test_windows_are_grouped_by_span():
    """Windows are grouped by clip and by the gate's opening; windows of other folds are left out."""
    clip = np.array([3, 3, 3, 4, 4], np.int32)
    windows = SampleWindows(clip, lambda rows: iter(()), {})
    sound, start = np.array([0, 0, 70, 70, 70]), np.arange(5) * 10
    ambience = Ambience(windows, sound, start, np.zeros(5), np.zeros(5))
    found = ambience_spans(ambience, np.array([0, 1, 2, 4]), np.zeros((4, 3), np.float32))
    assert [each.start.tolist() for each in found] == [[0, 10], [20], [40]]
    assert ambience_spans(ambience, np.array([], np.intp), np.zeros((0, 3), np.float32)) == []
