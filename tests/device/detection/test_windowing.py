from itertools import cycle, pairwise

from hypothesis import given
from hypothesis import strategies as st

from device.detection.windowing import Windower
from device.types import Span, Window

WINDOW, HOP, PRE_ROLL, BLOCK = 100, 40, 20, 10


def windows_for(sounding, blocks, stretch=lambda: 1.0):
    """Run over `blocks` blocks; `sounding` lists (start, end, hang-over end) of spans, in blocks."""
    windower = Windower(WINDOW, HOP, PRE_ROLL, stretch)
    items = []
    for block in range(blocks):
        span = None
        for start, end, shut in sounding:
            if start <= block <= shut:
                span = Span(start * BLOCK, min(end, block + 1) * BLOCK, "level", is_open=block < shut)
        items += windower.update(span, (block + 1) * BLOCK)
    return items


def test_a_short_sound_has_one_window_with_its_onset():
    """A sound shorter than the window is seen once, after a pre-roll, and is then over."""
    window, sound = windows_for([(10, 13, 15)], 40)
    assert (window.start, window.end) == (80, 180)
    assert sound == Span(100, 130, "level", is_open=False)


def test_windows_follow_while_a_sound_lasts():
    """A long sound is covered by overlapping windows to its end, and is over once."""
    items = windows_for([(10, 40, 42)], 80)
    assert [item.start for item in items[:-1]] == [80, 120, 160, 200, 240, 280, 320]
    assert items[-2].end >= 400
    assert items[-1] == Span(100, 400, "level", is_open=False)


def test_a_hangover_costs_no_window():
    """A sound that ended within the window gets no second one only because the gate shut late."""
    assert len(windows_for([(10, 17, 25)], 60)) == 2


def test_a_second_bark_within_the_window_joins_the_first():
    """Two sounds in one window are one sounding: what is heard together is judged together."""
    items = windows_for([(10, 11, 12), (14, 16, 18)], 60)
    assert [type(item) for item in items] == [Window, Span]
    assert items[-1] == Span(100, 160, "level", is_open=False)


def test_after_a_long_pause_it_looks_at_what_comes_now():
    """A sound that resumes within a long hang-over gets a window with its new onset, not one of the pause."""
    windower = Windower(WINDOW, HOP, PRE_ROLL)
    starts = []
    for block in range(80):
        end = 120 if block < 50 else (block + 1) * BLOCK
        span = Span(100, min(end, (block + 1) * BLOCK), "level", is_open=True) if block >= 10 else None
        starts += [item.start for item in windower.update(span, (block + 1) * BLOCK)]
    assert starts[:2] == [80, 490]


def test_two_sounds_apart_are_two():
    """Sounds that share no window are told apart."""
    items = windows_for([(10, 12, 13), (40, 42, 43)], 80)
    assert [type(item) for item in items] == [Window, Span, Window, Span]


def test_the_end_of_the_stream_ends_the_sound():
    """What is begun when the stream ends is still looked at, and is over."""
    windower = Windower(WINDOW, HOP, PRE_ROLL)
    assert list(windower.update(Span(0, 30, "vad", is_open=True), 30)) == []
    window, sound = windower.flush(Span(0, 30, "vad", is_open=False))
    assert (window.start, window.end) == (-20, 80)
    assert sound.end == 30
    assert list(windower.flush(None)) == []


def test_stretched_windows_lie_further_apart_but_leave_no_gap():
    """Twice as far, and at most side by side, whatever the factor; each window knows how far the next one is."""
    for factor, starts in ((2.0, [80, 160, 240, 320]), (9.0, [80, 180, 280, 380])):
        items = windows_for([(10, 40, 42)], 80, lambda factor=factor: factor)[:-1]
        assert [item.start for item in items] == [start for start in starts if start < 400]
        assert {item.hop_length for item in items} == {starts[1] - starts[0]}


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 60), st.integers(0, 8)), max_size=6),
    st.lists(st.floats(1, 20), min_size=1, max_size=5),
)
def test_every_sounding_block_is_seen(gaps, factors):
    """Whatever sounds when, however far windows are stretched, each sample of it lies in one; windows go forward."""
    sounding, block = [], 0
    for gap, length, hangover in gaps:
        start = block + gap
        sounding.append((start, start + length, start + length + hangover))
        block = start + length + hangover + 1
    factor = cycle(factors)
    items = windows_for(sounding, block + 30, lambda: next(factor))
    windows = [item for item in items if isinstance(item, Window)]
    seen = {position for window in windows for position in range(window.start, window.end)}
    for start, end, _ in sounding:
        assert all(position in seen for position in range(start * BLOCK, end * BLOCK))
    assert sum(isinstance(item, Span) for item in items) <= len(sounding)
    assert all(earlier.start < later.start for earlier, later in pairwise(windows))
