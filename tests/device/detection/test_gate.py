import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.audio.files import read_samples
from device.config.models import GateConfig
from device.detection.gate import SoundGate

RATE = 16000
LENGTH = 480


def spans_of(samples, config, stretch=lambda: 1.0):
    """Process samples in blocks; return the spans in which the gate was open."""
    gate = SoundGate(config, RATE, stretch)
    spans = []
    for position in range(0, len(samples) - LENGTH + 1, LENGTH):
        span = gate.update(samples[position : position + LENGTH], position)
        if span is not None and not span.is_open:
            spans.append(span)
    last = gate.close()
    return spans + ([last] if last else [])


def noise(seconds, rms, seed=0):
    generator = np.random.default_rng(seed)
    return (generator.normal(0, rms, round(seconds * RATE))).clip(-32768, 32767).astype(np.int16)


LEVEL_ONLY = GateConfig(vad_mode=None, probe_seconds=None)
VAD_ONLY = GateConfig(level=False, probe_seconds=None)


def test_silence_keeps_the_gate_shut():
    """Digital silence never opens the gate."""
    assert spans_of(np.zeros(10 * RATE, np.int16), GateConfig()) == []


def test_a_bang_in_a_quiet_room_opens_the_gate_at_its_onset():
    """Half a second of loud noise opens the gate by level, within two groups of blocks of its onset and end."""
    bed = noise(20, 3)
    bed[10 * RATE : 10 * RATE + RATE // 2] += noise(0.5, 1000, seed=1)
    (span,) = spans_of(bed, LEVEL_ONLY)
    assert span.reason == "level"
    assert abs(span.start - 10 * RATE) <= 4 * LENGTH
    assert abs(span.end - 10.5 * RATE) <= 6 * LENGTH


def test_a_small_rise_opens_the_gate_when_it_lasts():
    """A rise of 9 dB opens the gate if it lasts for a second, and not if it lasts for 0.15 s."""
    bed = noise(20, 100).astype(float)
    bed[6 * RATE : round(6.15 * RATE)] += noise(0.15, 260, seed=1)
    assert spans_of(bed.astype(np.int16), LEVEL_ONLY) == []
    bed[12 * RATE : 13 * RATE] += noise(1, 260, seed=2)
    (span,) = spans_of(bed.astype(np.int16), LEVEL_ONLY)
    assert 12 * RATE <= span.start < 12.5 * RATE
    assert span.end == pytest.approx(13 * RATE, abs=5 * LENGTH)


@pytest.mark.parametrize(("maximum_db", "opens"), [(30, True), (100, False)])
def test_a_rise_above_the_maximum_opens_the_gate_in_a_varying_band(maximum_db, opens):
    """In a band that crickets vary, a chirp opens the gate if its rise exceeds `maximum_db`."""
    time = np.arange(40 * RATE) / RATE
    crickets = np.sin(2 * np.pi * 4500 * time) * 20 * (0.5 - 0.5 * np.cos(2 * np.pi * time / 0.96))
    samples = noise(40, 3) + crickets
    chirp = np.sin(2 * np.pi * 5000 * time[: RATE // 4]) * 600 * np.hanning(RATE // 4)
    samples[35 * RATE : 35 * RATE + len(chirp)] += chirp
    config = GateConfig(vad_mode=None, probe_seconds=None, floor={"maximum_db": maximum_db})
    spans = spans_of(samples.astype(np.int16), config)
    assert any(34.8 * RATE < span.start < 35.3 * RATE for span in spans) == opens


def test_a_hangover_bridges_pauses():
    """Barks with pauses of 0.4 s are one span with the default hang-over, and four with 0.1 s."""
    bed = noise(20, 3)
    for bark in range(4):
        start = round((10 + 0.7 * bark) * RATE)
        bed[start : start + round(0.3 * RATE)] += noise(0.3, 1000, seed=bark)
    assert len(spans_of(bed, LEVEL_ONLY)) == 1
    assert len(spans_of(bed, GateConfig(vad_mode=None, probe_seconds=None, hangover_seconds=0.1))) == 4


def test_the_floor_adapts_to_a_fan():
    """A steady noise opens the gate when it starts; the gate shuts once the floor has adapted to it."""
    samples = np.concatenate([noise(10, 3), noise(30, 300)])
    (span,) = spans_of(samples, LEVEL_ONLY)
    assert span.start == pytest.approx(10 * RATE, abs=4 * LENGTH)
    assert 3 * RATE < span.end - span.start < 12 * RATE


def test_the_floor_does_not_adapt_to_the_first_seconds_of_a_siren():
    """A siren of four seconds keeps the gate open from its first second to its last."""
    time = np.arange(4 * RATE) / RATE
    siren = (np.sin(2 * np.pi * (700 * time - 60 * np.cos(2 * np.pi * 1.0 * time))) * 300).astype(np.int16)
    samples = np.concatenate([noise(10, 3), siren, noise(5, 3, seed=1)])
    (span,) = spans_of(samples, LEVEL_ONLY)
    assert span.start == pytest.approx(10 * RATE, abs=4 * LENGTH)
    assert span.end == pytest.approx(14 * RATE, abs=8 * LENGTH)


def test_the_floor_does_not_adapt_during_an_event():
    """A steady sound with an active event keeps the gate open until the sound ends."""
    samples = np.concatenate([noise(10, 3), noise(60, 300, seed=1), noise(10, 3, seed=2)])
    gate = SoundGate(LEVEL_ONLY, RATE)
    spans = []
    for position in range(0, len(samples) - LENGTH + 1, LENGTH):
        span = gate.update(samples[position : position + LENGTH], position)
        gate.set_event_active(position > 13 * RATE and span is not None)
        if span is not None and not span.is_open:
            spans.append(span)
    (span,) = spans
    assert span.end == pytest.approx(70 * RATE, abs=8 * LENGTH)


def test_a_tone_in_a_loud_street_opens_the_gate():
    """A horn that adds only 3 dB to the total level opens the gate, because it stands out in its band."""
    samples = noise(20, 1000).astype(float)
    horn = np.sin(2 * np.pi * 420 * np.arange(RATE) / RATE) * 1500
    samples[10 * RATE : 11 * RATE] += horn
    spans = spans_of(samples.astype(np.int16), LEVEL_ONLY)
    assert any(0 <= span.start - 10 * RATE < 13 * LENGTH for span in spans)


def test_a_probe_finds_a_sound_that_began_before():
    """A probe opens the gate for `learn_seconds` after `probe_seconds`, and longer while an event is active."""
    config = GateConfig(vad_mode=None, level=False, probe_seconds=20)
    samples = noise(60, 1000)
    spans = spans_of(samples, config)
    assert [span.reason for span in spans] == ["probe", "probe"]
    assert all(span.end - span.start == pytest.approx(4 * RATE, abs=LENGTH) for span in spans)
    (rarer,) = spans_of(samples, config, stretch=lambda: 2.0)
    assert rarer.start == pytest.approx(40 * RATE, abs=LENGTH)
    gate = SoundGate(config, RATE)
    reasons = []
    for position in range(0, len(samples) - LENGTH + 1, LENGTH):
        span = gate.update(samples[position : position + LENGTH], position)
        gate.set_event_active(span is not None and position < 40 * RATE)
        if span is not None and not span.is_open:
            reasons.append((span.reason, round(span.end / RATE)))
    assert reasons[0] == ("probe", 40)


def test_a_click_shorter_than_the_minimum_is_ignored():
    """With a minimum duration a click leaves the gate shut; a longer bang opens it, from its first block."""
    bed = noise(20, 3)
    bed[5 * RATE : 5 * RATE + 200] += noise(200 / RATE, 300, seed=1)
    bed[10 * RATE : 11 * RATE] += noise(1, 1000, seed=2)
    (span,) = spans_of(bed, GateConfig(vad_mode=None, probe_seconds=None, minimum_seconds=0.3))
    assert span.start == pytest.approx(10 * RATE, abs=4 * LENGTH)


def test_speech_opens_the_gate_by_voice(shared):
    """Speech opens the gate by webrtcvad alone."""
    samples = read_samples(shared / "demo_sounds" / "speech" / "librivox_austen_0870.wav", RATE)
    spans = spans_of(samples, VAD_ONLY)
    assert {span.reason for span in spans} == {"vad"}
    assert sum(span.end - span.start for span in spans) > 0.7 * len(samples)


def test_each_sound_of_the_demo_opens_the_gate(demo_recording):
    """Each of the five sounds in the demo's recording opens the gate."""
    samples = read_samples(demo_recording, RATE)
    spans = spans_of(samples, GateConfig())
    for onset in (5.0, 17.5, 29.0, 40.0, 53.0):
        assert any(span.start / RATE - 0.5 <= onset + 0.5 <= span.end / RATE + 0.5 for span in spans), onset


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from([2, 30, 3000])), max_size=20))
def test_spans_are_in_order(stretches):
    """For any noise, spans have a length, do not overlap, and lie within the stream."""
    samples = np.concatenate(
        [np.empty(0, np.int16), *(noise(0.03 * blocks, rms, seed=blocks) for blocks, rms in stretches)]
    )
    end = 0
    for span in spans_of(samples, GateConfig()):
        assert end <= span.start < span.end <= len(samples)
        end = span.end


def test_a_sound_rises_by_its_level_above_the_floor():
    """The rise is 0 dB in noise at -50 dBFS, and 20 dB when it increases to -30 dBFS."""
    gate = SoundGate(GateConfig(vad_mode=None, probe_seconds=None), RATE)
    rng = np.random.default_rng(4)

    def feed(dbfs, blocks, at):
        for number in range(at, at + blocks):
            samples = (rng.normal(size=480) * 10 ** (dbfs / 20) * 32768).astype(np.int16)
            gate.update(samples, number * 480)

    assert gate.rise_db == 0.0
    feed(-50, 400, 0)
    assert gate.rise_db == pytest.approx(0.0, abs=2.0)
    feed(-30, 4, 400)
    assert gate.rise_db == pytest.approx(20.0, abs=2.0)
