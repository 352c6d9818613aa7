from event_score import Side, matches
from hypothesis import given
from hypothesis import strategies as st

sounds = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 60)), max_size=12)


def test_label_and_onset_must_be_right():
    """Another label, or the right one more than 2 s off, is no match; a second event for one sound is one too many."""
    truth = [("dog", 10.0), ("horn", 20.0)]
    assert matches(truth, [("dog", 11.9), ("horn", 18.1)]) == 2
    assert matches(truth, [("dog", 12.1), ("dog", 20.0)]) == 0
    assert matches(truth, [("dog", 9.0), ("dog", 10.5)]) == 1


@given(sounds, sounds)
def test_matching_is_fair(truth, events):
    """It matches neither more than there are, nor fewer than all of a list with itself, and favours no side."""
    assert matches(truth, truth) == len(truth)
    assert matches(truth, events) == matches(events, truth) <= min(len(truth), len(events))


def test_sides_add_up():
    """Pooled figures are of all counts together: F1 0.5 of 2 hits among 4 sounds and 4 events."""
    side = Side(2, 3, 1, 4, 0.5) + Side(0, 1, 3, 0, 0.5)
    assert (side.f1, side.false_per_hour) == (0.5, 4.0)
