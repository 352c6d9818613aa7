"""Tests of the event score of the benchmarks."""

from event_score import Counts, count_matches
from hypothesis import given
from hypothesis import strategies as st

sounds = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 60)), max_size=12)


def test_a_match_has_the_label_and_the_onset():
    """Another label, an onset more than 2 s away, and a second event for one sound are no matches."""
    truth = [("dog", 10.0), ("horn", 20.0)]
    assert count_matches(truth, [("dog", 11.9), ("horn", 18.1)]) == 2
    assert count_matches(truth, [("dog", 12.1), ("dog", 20.0)]) == 0
    assert count_matches(truth, [("dog", 9.0), ("dog", 10.5)]) == 1


@given(sounds, sounds)
def test_matching_is_symmetric_and_bounded(truth, events):
    """The number of matches is symmetric and at most the shorter length; a list matches itself completely."""
    assert count_matches(truth, truth) == len(truth)
    assert count_matches(truth, events) == count_matches(events, truth) <= min(len(truth), len(events))


def test_counts_are_pooled():
    """F1 and false events an hour are computed from the sums: F1 is 0.5 for 2 hits, 4 sounds and 4 events."""
    counts = Counts(2, 3, 1, 4, 0.5) + Counts(0, 1, 3, 0, 0.5)
    assert (counts.f1, counts.false_per_hour) == (0.5, 4.0)
