import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.audio.files import read_samples
from device.config import GateConfig
from device.gate import SoundGate
from device.types import Block

RATE = 16000
LENGTH = 480


def spans_of(samples, config):
    """Feed samples in blocks; give the spans in which the gate was open."""
    gate = SoundGate(config, RATE)
    spans = []
    for position in range(0, len(samples) - LENGTH + 1, LENGTH):
        span = gate.update(Block(samples[position : position + LENGTH], position, position / RATE))
        if span is not None and not span.is_open:
            spans.append(span)
    last = gate.close()
    return spans + ([last] if last else [])


def noise(seconds, rms, seed=0):
    generator = np.random.default_rng(seed)
    return (generator.normal(0, rms, round(seconds * RATE))).clip(-32768, 32767).astype(np.int16)


LEVEL_ONLY = GateConfig(vad_mode=None)
VAD_ONLY = GateConfig(level_db=None)


def test_silence_keeps_it_shut():
    """Digital silence never opens the gate."""
    assert spans_of(np.zeros(10 * RATE, np.int16), GateConfig()) == []


def test_a_bang_in_a_quiet_room_opens_it_at_its_onset():
    """Half a second of noise over a quiet bed opens by level, within a block of onset and end."""
    bed = noise(20, 3)
    bed[10 * RATE : 10 * RATE + RATE // 2] += noise(0.5, 1000, seed=1)
    (span,) = spans_of(bed, LEVEL_ONLY)
    assert span.reason == "level"
    assert abs(span.start - 10 * RATE) <= LENGTH
    assert abs(span.end - 10.5 * RATE) <= LENGTH


def test_a_hangover_bridges_pauses():
    """Barks 0.4 s apart are one span with a hang-over of 0.6 s, and several with one of 0.1 s."""
    bed = noise(20, 3)
    for bark in range(4):
        start = round((10 + 0.7 * bark) * RATE)
        bed[start : start + round(0.3 * RATE)] += noise(0.3, 1000, seed=bark)
    assert len(spans_of(bed, LEVEL_ONLY)) == 1
    assert len(spans_of(bed, GateConfig(vad_mode=None, hangover_seconds=0.1))) == 4


def test_the_floor_learns_a_fan():
    """A steady noise opens the gate when it starts, and shuts it once the floor has risen to it."""
    samples = np.concatenate([noise(10, 3), noise(60, 300)])
    spans = spans_of(samples, LEVEL_ONLY)
    assert spans[0].start == pytest.approx(10 * RATE, abs=LENGTH)
    assert max(span.end for span in spans) < 45 * RATE


def test_a_sound_that_was_there_first_is_heard():
    """What sounds when the daemon starts opens the gate: the floor starts at a quiet room's."""
    spans = spans_of(noise(60, 1000), LEVEL_ONLY)
    assert spans[0].start == 0


def test_speech_opens_it_by_voice(shared):
    """Speech opens the gate by webrtcvad alone."""
    samples = read_samples(shared / "demo_sounds" / "speech" / "librivox_austen_0870.wav", RATE)
    spans = spans_of(samples, VAD_ONLY)
    assert {span.reason for span in spans} == {"vad"}
    assert sum(span.end - span.start for span in spans) > 0.7 * len(samples)


def test_the_street_is_heard(street):
    """In the demo's recording each of the five sounds opens the gate."""
    samples = read_samples(street, RATE)
    spans = spans_of(samples, GateConfig())
    for onset in (5.0, 17.5, 29.0, 40.0, 53.0):
        assert any(span.start / RATE - 0.5 <= onset + 0.5 <= span.end / RATE + 0.5 for span in spans), onset


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from([2, 30, 3000])), max_size=20))
def test_spans_are_in_order(stretches):
    """Whatever is heard: spans have a length, follow one another, and lie within the stream."""
    samples = np.concatenate(
        [np.empty(0, np.int16), *(noise(0.03 * blocks, rms, seed=blocks) for blocks, rms in stretches)]
    )
    end = 0
    for span in spans_of(samples, GateConfig()):
        assert end <= span.start < span.end <= len(samples)
        end = span.end
