from itertools import cycle, pairwise

from hypothesis import given
from hypothesis import strategies as st

from device.detection.windowing import Windower
from device.types import Span, Window

WINDOW, HOP, PRE_ROLL, BLOCK = 100, 40, 20, 10


def windows_for(spans, blocks, stretch=lambda: 1.0, looks=(), reason="level"):
    """Return windows and joined spans over `blocks` blocks; `spans` lists (start, end, hang-over end), in blocks."""
    windower = Windower(WINDOW, HOP, PRE_ROLL, stretch, looks)
    items = []
    for block in range(blocks):
        span = None
        for start, end, shut in spans:
            if start <= block <= shut:
                span = Span(start * BLOCK, min(end, block + 1) * BLOCK, reason, is_open=block < shut)
        items += windower.update(span, (block + 1) * BLOCK)
    return items


def test_a_short_sound_has_one_window_with_its_onset():
    """A sound shorter than a window has one window, which begins with the pre-roll; then its span follows."""
    window, span = windows_for([(10, 13, 15)], 40)
    assert (window.start, window.end) == (80, 180)
    assert span == Span(100, 130, "level", is_open=False)


def test_windows_follow_while_a_sound_lasts():
    """Overlapping windows cover a long sound to its end; then one span follows."""
    items = windows_for([(10, 40, 42)], 80)
    assert [item.start for item in items[:-1]] == [80, 120, 160, 200, 240, 280, 320]
    assert items[-2].end >= 400
    assert items[-1] == Span(100, 400, "level", is_open=False)


def test_a_hangover_causes_no_window():
    """A sound that ends within its window has no second one, even if the gate shuts later."""
    assert len(windows_for([(10, 17, 25)], 60)) == 2


def test_a_second_bark_within_the_window_joins_the_first():
    """Two spans in one window are joined, because they are classified together."""
    items = windows_for([(10, 11, 12), (14, 16, 18)], 60)
    assert [type(item) for item in items] == [Window, Span]
    assert items[-1] == Span(100, 160, "level", is_open=False)


def test_after_a_long_pause_the_next_window_has_the_new_onset():
    """A sound that resumes within a long hang-over has a window with its new onset, and none of the pause."""
    windower = Windower(WINDOW, HOP, PRE_ROLL)
    starts = []
    for block in range(80):
        end = 120 if block < 50 else (block + 1) * BLOCK
        span = Span(100, min(end, (block + 1) * BLOCK), "level", is_open=True) if block >= 10 else None
        starts += [item.start for item in windower.update(span, (block + 1) * BLOCK)]
    assert starts[:2] == [80, 490]


def test_two_sounds_apart_are_two_spans():
    """Sounds that share no window are not joined."""
    items = windows_for([(10, 12, 13), (40, 42, 43)], 80)
    assert [type(item) for item in items] == [Window, Span, Window, Span]


def test_early_looks_end_before_the_first_window():
    """A look begins with the first window and ends at its distance from the onset; a sound in that window has none."""
    looks = windows_for([(10, 11, 12), (14, 16, 18), (60, 80, 85)], 99, looks=(30, 60))
    early = [(item.start, item.end) for item in looks if isinstance(item, Window) and item.is_early]
    assert early == [(80, 130), (80, 160), (580, 630), (580, 660)]


def test_a_probe_has_no_early_look():
    """A probe opens the gate to a sound without an onset: an early look would cost time in quiet places."""
    assert len(windows_for([(10, 13, 15)], 40, looks=(30,))) == 3
    assert len(windows_for([(10, 13, 15)], 40, looks=(30,), reason="probe")) == 2


def test_load_shedding_leaves_out_early_looks():
    """The least stretch leaves out every look before any full window is left out."""
    items = windows_for([(10, 40, 42)], 80, lambda: 1.01, looks=(30, 60))
    assert not any(item.is_early for item in items[:-1])
    assert len(items) == len(windows_for([(10, 40, 42)], 80))


def test_a_gate_that_opens_late_has_the_last_complete_look():
    """Of several looks that are complete when the gate opens, only the last is due; none beside a full window."""
    for position, expected in ((150, [130]), (165, [160]), (200, [180])):
        windower = Windower(WINDOW, HOP, PRE_ROLL, looks=(30, 60))
        items = list(windower.update(Span(100, position, "level", is_open=True), position))
        assert [item.end for item in items] == expected
        assert items[0].is_early == (position < 200)


def test_the_end_of_the_stream_ends_the_span():
    """At the end of the stream an incomplete window is yielded, and then its span."""
    windower = Windower(WINDOW, HOP, PRE_ROLL)
    assert list(windower.update(Span(0, 30, "vad", is_open=True), 30)) == []
    window, span = windower.flush(Span(0, 30, "vad", is_open=False))
    assert (window.start, window.end) == (-20, 80)
    assert span.end == 30
    assert list(windower.flush(None)) == []


def test_stretched_windows_have_wider_hops_but_leave_no_gap():
    """A hop is stretched by the factor, to one window's length at most, and each window contains its hop."""
    for factor, starts in ((2.0, [80, 160, 240, 320]), (9.0, [80, 180, 280, 380])):
        items = windows_for([(10, 40, 42)], 80, lambda factor=factor: factor)[:-1]
        assert [item.start for item in items] == [start for start in starts if start < 400]
        assert {item.hop_length for item in items} == {starts[1] - starts[0]}


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 60), st.integers(0, 8)), max_size=6),
    st.lists(st.floats(1, 20), min_size=1, max_size=5),
)
def test_windows_cover_every_span(gaps, factors):
    """For any spans and factors, each sample of a span lies in a window, and windows are in order."""
    spans, block = [], 0
    for gap, length, hangover in gaps:
        start = block + gap
        spans.append((start, start + length, start + length + hangover))
        block = start + length + hangover + 1
    factor = cycle(factors)
    items = windows_for(spans, block + 30, lambda: next(factor))
    windows = [item for item in items if isinstance(item, Window)]
    covered = {position for window in windows for position in range(window.start, window.end)}
    for start, end, _ in spans:
        assert all(position in covered for position in range(start * BLOCK, end * BLOCK))
    assert sum(isinstance(item, Span) for item in items) <= len(spans)
    assert all(earlier.start < later.start for earlier, later in pairwise(windows))
    with_looks = windows_for(spans, block + 30, looks=(30, 60))
    full = [item for item in with_looks if isinstance(item, Span) or not item.is_early]
    assert full == windows_for(spans, block + 30)
