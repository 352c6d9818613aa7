"""Live odds and thresholds, on logits of places that a reader can check."""

import numpy as np
import pytest

from device.features import FeatureConfig
from device.types import UNKNOWN
from training.calibrate import Judgement
from training.dataset import Clip, Dataset
from training.thresholds import CANDIDATES, FALSE_ALARMS_PER_HOUR, choose_live_rule

HOUR = 2400
"""Windows, each 1.5 s after the last."""


def place(alarms, logit=4.0, outputs=3, windows=HOUR):
    """An hour of ambience, in which "a" stands out from none of them for 8 windows, so many times."""
    logits = np.zeros((windows, outputs), np.float32)
    logits[:, outputs - 1] = 6.0
    for number in range(alarms):
        begin = 20 + number * 40
        logits[begin : begin + 8, 0] = 6.0 + logit
    return logits


def judged(logits, label=UNKNOWN):
    clip = Clip("place.wav", label, "place", 1)
    dataset = Dataset("made", ("a", "b"), (clip,), "")
    return choose_live_rule(dataset, Judgement(logits, np.zeros(len(logits), np.int32)), 1.0, FeatureConfig())


def test_few_false_alarms_need_no_odds():
    """A place with fewer false alarms than are allowed leaves the scores as they are."""
    rule = judged(place(alarms=int(FALSE_ALARMS_PER_HOUR) - 1))
    assert rule.odds == 1.0


def test_odds_silence_what_comes_too_often():
    """Where false alarms are too many, "none of them" is made likelier, by no more than it takes."""
    many = judged(place(alarms=40))
    assert many.odds == pytest.approx(np.exp(2 * 4.0), rel=0.3)  # three windows, half of each new, count as two
    assert many.false_alarms["a"][0] <= FALSE_ALARMS_PER_HOUR
    assert judged(place(alarms=40, logit=1.0)).odds < many.odds


def test_a_label_of_many_false_alarms_gets_a_threshold_of_its_own():
    """Within the odds that all share, a label with more than an even share of the false alarms is held back."""
    rule = judged(place(alarms=int(FALSE_ALARMS_PER_HOUR), logit=1.0))
    assert rule.odds == 1.0
    assert rule.thresholds["a"].threshold > CANDIDATES[0]
    assert rule.thresholds["a"].false_alarms_per_hour <= FALSE_ALARMS_PER_HOUR / 2
    assert rule.thresholds["b"].threshold == CANDIDATES[0]


@pytest.mark.parametrize(("outputs", "label"), [(2, UNKNOWN), (3, "a")])
def test_without_ambience_or_an_output_for_it_nothing_is_shifted(outputs, label):
    """A network that cannot say "none of them", or that nobody tried on ambience, keeps its scores."""
    assert judged(place(alarms=3, outputs=outputs), label).odds == 1.0
