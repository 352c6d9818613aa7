import numpy as np
import pytest
from fake_bundle import FakeNetwork
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundle import fake_bundle, golden_waveforms, write_tiny_bundle

from device.model.ensemble import Ensemble, asks_others, fuse
from device.model.manifest import ClipScoring, LiveScoring
from device.service.runtime import open_bundle

WINDOW = golden_waveforms(48000)[0]
PROBABILITIES = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(
    lambda values: (np.array(values) / sum(values)).astype(np.float32)
)


def ensemble(first, second, **changes):
    """Make an ensemble of fake networks whose heads give these probabilities; the temperatures are undone."""
    bundle = fake_bundle(**changes)
    networks = {}
    for name, probabilities in (("audioset", first), ("inception", second)):
        manifest = bundle.manifest.networks.get(name)
        if manifest is not None:
            logits = np.log(np.asarray(probabilities, np.float32))
            heads = np.concatenate([logits * temperature for temperature in manifest.temperature.values()])
            outputs = np.pad(heads, (0, manifest.output_length - len(heads)))
            networks[name] = FakeNetwork(manifest, lambda _, outputs=outputs: outputs)
    return Ensemble(bundle, networks=networks)


@given(st.lists(PROBABILITIES, min_size=1, max_size=4), st.data())
def test_fused_probabilities_sum_to_one(networks, data):
    """For any networks and weights, the fused probabilities lie in 0 to 1 and sum to 1."""
    weights = data.draw(st.lists(st.floats(0.01, 10), min_size=len(networks), max_size=len(networks)))
    fused = fuse(networks, weights)
    assert fused.dtype == np.float32
    assert fused.min() >= 0
    assert fused.sum() == pytest.approx(1, abs=1e-5)


@given(PROBABILITIES)
def test_one_network_is_the_identity(probabilities):
    """The pool of one network with weight 1, or of two that agree with half of it each, changes nothing."""
    np.testing.assert_allclose(fuse([probabilities], [1.0]), probabilities, atol=1e-5)
    np.testing.assert_allclose(fuse([probabilities] * 2, [0.5, 0.5]), probabilities, atol=1e-5)


def test_a_probability_of_zero_is_floored():
    """A probability of 0 counts as 1e-6, so one network alone excludes nothing."""
    fused = fuse([np.array([0, 1], np.float32), np.array([1, 0], np.float32)], [0.5, 0.5])
    np.testing.assert_allclose(fused, [0.5, 0.5])


@given(PROBABILITIES, PROBABILITIES)
def test_the_rules_ask_the_second_network(first, second):
    """Clips: below the highest probability; live: from the labels' sum. A network that is not asked is not called."""
    both = ensemble(first, second)
    clip = both.classify_clip(WINDOW)
    in_doubt = both.networks["audioset"].probabilities(both.networks["audioset"].outputs(None), "clip").max() < 0.9
    assert both.networks["inception"].calls == in_doubt
    np.testing.assert_allclose(clip.scores, fuse([first, second], [0.5, 0.5])[:2] if in_doubt else first[:2], atol=1e-4)
    both.networks["inception"].calls = 0
    live = both.classify_live(WINDOW)
    proposes = 1 - both.networks["audioset"].probabilities(both.networks["audioset"].outputs(None), "live")[2] >= 0.9
    assert both.networks["inception"].calls == proposes
    np.testing.assert_allclose(live.scores, fuse([first, second], [0.5, 0.5])[:2] if proposes else first[:2], atol=1e-4)


def test_the_second_network_is_asked_at_the_limits():
    """`ask_below` excludes its value, `ask_above` includes it, and null means always."""
    sure, unsure = np.array([0.5, 0.25, 0.25], np.float32), np.array([0.25, 0.25, 0.5], np.float32)
    assert not asks_others(sure, 2, ClipScoring(weights={}, ask_below=0.5))
    assert asks_others(sure, 2, ClipScoring(weights={}, ask_below=0.51))
    assert asks_others(sure, 2, LiveScoring(weights={}, ask_above=0.75))
    assert not asks_others(unsure, 2, LiveScoring(weights={}, ask_above=0.75))
    assert asks_others(sure, 2, ClipScoring(weights={}, ask_below=None))
    assert asks_others(unsure, 2, LiveScoring(weights={}, ask_above=None))


def test_all_networks_can_be_asked():
    """`classify_by_all` calls every network, whatever the first one proposes."""
    both = ensemble([0.01, 0.01, 0.98], [0.9, 0.05, 0.05])
    both.classify_live(WINDOW)
    assert both.networks["inception"].calls == 0
    both.classify_by_all(WINDOW)
    assert both.networks["inception"].calls == 1


@given(PROBABILITIES)
def test_a_single_network_s_scores_count(probabilities):
    """With one network, its probabilities of the labels are the scores, for clips and live."""
    scoring = {
        "order": ["inception"],
        "clip": {"weights": {"inception": 0.3}, "ask_below": 0.9},
        "live": {"weights": {"inception": 0.3}, "ask_above": 0.9},
    }
    single = ensemble(None, probabilities, networks=("inception",), scoring=scoring)
    for classify in (single.classify_clip, single.classify_live):
        result = classify(WINDOW)
        np.testing.assert_allclose(result.scores, probabilities[:2], atol=1e-5)
        assert result.audioset is None
        assert result.log_mel.shape == (128, 184)


def test_the_networks_of_a_bundle_are_scored_together(tmp_path):
    """The files of a bundle give scores, AudioSet's probabilities and a picture in [-1, 1]."""
    _, both = open_bundle(write_tiny_bundle(tmp_path / "both"))
    _, light = open_bundle(write_tiny_bundle(tmp_path / "light", networks=("audioset",)))
    for one in (both, light):
        result = one.classify_clip(WINDOW)
        assert result.scores.argmax() == 0
        assert result.audioset.shape == (527,)
        assert result.audioset.dtype == np.float32
        assert result.log_mel.min() >= -1
        assert result.log_mel.max() == 1
    assert both.classify_clip(WINDOW).scores[0] > light.classify_clip(WINDOW).scores[0]


@pytest.mark.parametrize(("first", "asked"), [([0.97, 0.01, 0.02], False), ([0.998, 0.001, 0.001], True)])
def test_an_early_look_asks_the_second_network_about_a_sure_sound(first, asked):
    """With prior odds of 100, the second network confirms a look only where the first one reaches the threshold."""
    both = ensemble(first, [0.6, 0.2, 0.2], unknown={"output": True, "min_confidence": 0.0, "live_odds": 100.0})
    look = both.classify_look(WINDOW)
    assert both.networks["inception"].calls == asked
    live = both.classify_live(WINDOW)  # a full window: asked in both cases
    assert both.networks["inception"].calls == asked + 1
    assert np.array_equal(look.scores, live.scores) == asked
