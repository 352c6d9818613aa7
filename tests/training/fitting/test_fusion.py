"""Fusion of two networks on validation folds."""

import numpy as np
import pytest

from device.model.classifier import softmax
from device.model.ensemble import asks_others, fuse
from device.model.manifest import ClipScoring, LiveScoring
from training.fitting.fitted_head import FittedHead
from training.fitting.fusion import (
    ASK_ABOVE,
    CLIP_WEIGHTS,
    LIVE_WEIGHT,
    UNKNOWN_COST,
    LiveWindows,
    choose_clip_rule,
    choose_live_rule,
    choose_unknown_bias,
    fuse_windows,
    single_scoring,
)
from training.models.head import Head

NAMES = ("first", "second")
LABELS = 3


def draw(rng, target, strength):
    """Return probabilities of `LABELS` and `unknown` that favor the target by a strength."""
    logits = rng.normal(size=(len(target), LABELS + 1)) + strength * np.eye(LABELS + 1)[target]
    powers = np.exp(logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    "rule",
    [
        ClipScoring(weights={"first": 0.7, "second": 0.3}, ask_below=0.6),
        ClipScoring(weights={"first": 0.7, "second": 0.3}, ask_below=None),
        LiveScoring(weights={"first": 0.5, "second": 0.5}, ask_above=0.8),
        LiveScoring(weights={"first": 0.5, "second": 0.5}, ask_above=None),
    ],
)
def test_many_windows_are_fused_like_one_on_the_device(rule):
    """The probabilities of many windows are those that the device computes for each."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, LABELS + 1, 50)
    first, second = draw(rng, target, 2.0), draw(rng, target, 1.0)
    fused = fuse_windows([first, second], LABELS, rule)
    weights = list(rule.weights.values())
    for row in range(50):
        asked = asks_others(first[row], LABELS, rule)
        expected = fuse([first[row], second[row]], weights) if asked else first[row]
        assert fused[row] == pytest.approx(expected, abs=1e-5)


def test_one_network_is_scored_alone():
    """With one network the probabilities are its own, and the scoring names it alone."""
    probabilities = draw(np.random.default_rng(1), np.array([0, 1]), 1.0)
    scoring = single_scoring("first")
    assert fuse_windows([probabilities], LABELS, scoring.clip) is probabilities
    assert (scoring.order, scoring.live.weights) == (("first",), {"first": 1.0})


def test_the_better_network_gets_the_higher_weight():
    """A second network without information gets the least weight, one that is better than the first the most."""
    rng = np.random.default_rng(2)
    target = rng.integers(0, LABELS, 600)
    clip = np.arange(600, dtype=np.int32)
    good, useless = draw(rng, target, 2.0), draw(rng, np.zeros(600, int), 0.0)
    alone = choose_clip_rule(NAMES, [good, useless], clip, target, LABELS)
    confirmed = choose_clip_rule(NAMES, [useless, good], clip, target, LABELS)
    assert alone.weights["first"] == max(CLIP_WEIGHTS)
    assert confirmed.weights["first"] == min(CLIP_WEIGHTS)


def test_negatives_do_not_choose_the_clip_rule():
    """Clips of `unknown` change nothing: their number is arbitrary."""
    rng = np.random.default_rng(3)
    target = rng.integers(0, LABELS, 300)
    negatives = np.full(300, LABELS)
    pair = [draw(rng, np.concatenate([target, negatives]), strength) for strength in (1.5, 1.0)]
    clip = np.arange(600, dtype=np.int32)
    every = choose_clip_rule(NAMES, pair, clip, np.concatenate([target, negatives]), LABELS)
    labelled = choose_clip_rule(NAMES, [each[:300] for each in pair], clip[:300], target, LABELS)
    assert every == labelled


def test_the_shared_bias_spends_the_allowed_cost_and_no_more():
    """More negatives are `unknown` with the bias of both heads, within the allowed share of labelled clips."""
    rng = np.random.default_rng(6)
    targets = np.concatenate([rng.integers(0, LABELS, 900), np.full(900, LABELS)])
    logits = [rng.normal(size=(1800, LABELS + 1)) + 2.5 * np.eye(LABELS + 1)[targets] for _ in NAMES]
    for each in logits:
        each[:, LABELS] -= 3.0  # shy heads: there is room for a bias
    temperatures, clip = (0.5, 2.0), np.arange(1800, dtype=np.int32)
    rule = ClipScoring(weights=dict.fromkeys(NAMES, 0.5), ask_below=None)

    def probabilities(bias):
        """Return probabilities of heads with the bias, as `FittedHead.with_unknown_bias` adds it."""
        heads = []
        for each, temperature in zip(logits, temperatures, strict=True):
            ones, zeros = np.ones(LABELS + 1, np.float32), np.zeros(LABELS + 1, np.float32)
            head = Head(zeros, ones, np.eye(LABELS + 1, dtype=np.float32), zeros)
            biased = FittedHead(head, temperature, 0.1, 0.0, 1.0, 1.0).with_unknown_bias(bias)
            heads.append(softmax((each.astype(np.float32) * temperature + biased.head.bias) / temperature))
        return heads

    def decisions(bias):
        return fuse_windows(probabilities(bias), LABELS, rule).argmax(axis=1)

    bias = choose_unknown_bias(probabilities(0.0), clip, targets, LABELS, rule)
    is_labelled = targets < LABELS
    correct = [float((decisions(each) == targets)[is_labelled].mean()) for each in (-50.0, bias)]
    assert bias > 1.0
    assert correct[0] - correct[1] <= UNKNOWN_COST
    assert (decisions(bias)[~is_labelled] == LABELS).mean() > (decisions(0.0)[~is_labelled] == LABELS).mean() + 0.1


def test_a_fused_bias_changes_odds_and_bias_alike():
    """The live odds of a head count the part of `unknown` that its bias does not contain yet, and are at least 1."""
    zeros = np.zeros(2, np.float32)
    fitted = FittedHead(Head(zeros, zeros + 1, np.eye(2, dtype=np.float32), zeros), 0.5, 0.1, 1.0, np.e**2, 1.0)
    biased = fitted.with_unknown_bias(1.5)
    assert biased.head.bias.tolist() == [0.0, 0.75]
    assert (biased.unknown_bias, biased.live_odds) == (pytest.approx(1.75), pytest.approx(np.e**0.5))
    assert fitted.with_unknown_bias(3.0).live_odds == 1.0
    assert fitted.head.bias.tolist() == [0.0, 0.0]


def test_without_an_output_for_unknown_there_is_no_bias():
    """Heads without negatives have no logit to bias."""
    probabilities = [np.full((4, LABELS), 1 / LABELS, np.float32)] * 2
    rule = ClipScoring(weights=dict.fromkeys(NAMES, 0.5), ask_below=None)
    assert choose_unknown_bias(probabilities, np.arange(4, dtype=np.int32), np.zeros(4, int), LABELS, rule) == 0.0


def test_live_sound_is_confirmed_by_the_second_network():
    """Both networks have the fixed weights of live sound, and a bound from the candidates."""
    rng = np.random.default_rng(4)
    target = rng.integers(0, LABELS, 800)
    ambience = np.full(2000, LABELS)
    sounds = LiveWindows([draw(rng, target, 2.5) for _ in NAMES], target)
    rule = choose_live_rule(NAMES, sounds, [draw(rng, ambience, 2.5) for _ in NAMES], LABELS)
    assert rule.weights == {"first": LIVE_WEIGHT, "second": 1.0 - LIVE_WEIGHT}
    assert rule.ask_above in ASK_ABOVE


def test_without_ambience_the_labels_choose_the_live_rule():
    """Without ambience there is a rule nevertheless."""
    rng = np.random.default_rng(5)
    target = rng.integers(0, LABELS, 100)
    none = np.zeros((0, LABELS + 1), np.float32)
    rule = choose_live_rule(NAMES, LiveWindows([draw(rng, target, 2.0)] * 2, target), [none, none], LABELS)
    assert set(rule.weights) == set(NAMES)
