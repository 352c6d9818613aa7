import dataclasses
import threading

import numpy as np
import pytest
from fake_bundle import score_log_mel
from hostile_source import capture_program
from hypothesis import given, settings
from hypothesis import strategies as st
from support import make_bundle
from tones import FEATURES, RATE, blocks_of, low_or_high, street_of_tones, tone, without_ids

from device.audio.microphone_source import MicrophoneSource
from device.config.models import Config
from device.model.clip_scoring import classify_clip, clip_windows
from device.model.features import log_mel
from device.pipeline import Pipeline
from device.types import Blocks, SourceLost

CONFIG = Config.model_validate({"gate": {"vad_mode": None, "probe_seconds": None}})


def events_of(blocks, network=low_or_high, config=CONFIG):
    return list(Pipeline(config, make_bundle(FEATURES), score_log_mel(FEATURES, network)).run(blocks))


def test_two_sounds_are_two_events():
    """Each tone is one event with its label; onset and end are correct to 0.2 s."""
    events = events_of(blocks_of(street_of_tones()))
    assert [(e.type, e.label) for e in events] == [
        ("start", "low"),
        ("end", "low"),
        ("start", "high"),
        ("end", "high"),
    ]
    assert events[0].start_time == pytest.approx(1005, abs=0.2)
    assert events[1].end_time == pytest.approx(1006, abs=0.2)
    assert events[2].start_time == pytest.approx(1012, abs=0.2)
    assert events[3].end_time == pytest.approx(1013, abs=0.2)
    assert events[0].level_dbfs == pytest.approx(20 * np.log10(8000 / 32768 / np.sqrt(2)), abs=0.1)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(16, 1600), min_size=1, max_size=5))
def test_chunk_lengths_change_no_event(lengths):
    """Sound that arrives in chunks of 1 to 100 ms gives identical features and events."""
    log_mels = {}

    def recording(key):
        def classify(log_mel):
            log_mels.setdefault(key, []).append(log_mel)
            return low_or_high(log_mel)

        return classify

    whole = events_of(blocks_of(street_of_tones()), recording("whole"))
    cut = events_of(blocks_of(street_of_tones(), lengths), recording("cut"))
    assert without_ids(whole) == without_ids(cut)
    np.testing.assert_array_equal(log_mels["whole"], log_mels["cut"])


@pytest.mark.parametrize("milliseconds", [[1], [3, 100, 17], [100]])
def test_a_microphone_gives_the_events_of_a_file(tmp_path, milliseconds):
    """The same sound from the capture process, in chunks of 1 to 100 ms, gives the same events within a block."""
    samples = street_of_tones()
    (tmp_path / "sound").write_bytes(samples.tobytes())
    steps = (
        f"import itertools; sound = open({str(tmp_path / 'sound')!r}, 'rb')",
        f"for milliseconds in itertools.cycle({milliseconds}):",
        f"    chunk = sound.read(milliseconds * {2 * RATE // 1000})",
        "    send(chunk) if chunk else time.sleep(60)",
    )
    stop = threading.Event()
    microphone = MicrophoneSource("auto", RATE, queue_seconds=60, stop=stop)
    microphone._command = capture_program(*steps, name="fake", sample_rate=RATE, channels=1)

    def blocks():
        for block in microphone:
            yield dataclasses.replace(block, time=1000 + block.position / RATE)  # it is played faster than real time
            if block.end > len(samples) - 480:
                stop.set()

    live, recorded = events_of(blocks()), events_of(blocks_of(samples))
    assert [(e.type, e.label, e.scores) for e in live] == [(e.type, e.label, e.scores) for e in recorded]
    for one, other in zip(live, recorded, strict=True):
        assert one.start_time == pytest.approx(other.start_time, abs=0.03)
        assert one.end_time == (other.end_time and pytest.approx(other.end_time, abs=0.03))
    assert microphone.lost_samples == 0


def test_the_end_of_a_stream_ends_its_event():
    """An event that is active when the source ends receives its end, so no state stays ON."""
    samples = street_of_tones()[: round(5.5 * RATE)]
    start, end = events_of(blocks_of(samples))
    assert (start.type, end.type, start.event_id) == ("start", "end", end.event_id)
    assert end.end_time == pytest.approx(1005.5, abs=0.2)


def test_a_break_of_the_source_ends_its_event():
    """An event ends where the microphone was unplugged; sound after the break starts another."""
    samples = street_of_tones()
    samples[13 * RATE : 14 * RATE] = samples[12 * RATE : 13 * RATE]
    items = list(blocks_of(samples))
    broken = [*items[:416], SourceLost(items[416].position), *items[450:]]
    events = events_of(broken)
    assert [(e.type, e.label) for e in events] == [("start", "low"), ("end", "low")] + [
        ("start", "high"),
        ("end", "high"),
    ] * 2
    assert events[3].end_time == pytest.approx(1012.48, abs=0.2)
    assert events[4].start_time == pytest.approx(1013.5, abs=0.2)


@pytest.mark.parametrize("lost_at", [170, 185, 200, 215])
@pytest.mark.parametrize("seconds", [0.5, 2, 20, 2000])
def test_lost_audio_of_any_length_moves_no_later_event(lost_at, seconds):
    """After lost audio, with or without a report of the break, later events have their correct times."""
    items = list(blocks_of(street_of_tones()))
    shift = round(seconds / 0.03) * 480
    late = [Blocks(b.samples, b.position + shift, b.time + shift / RATE) for b in items[lost_at:]]
    for report in ([], [SourceLost(items[lost_at].position)]):
        events = events_of([*items[:lost_at], *report, *late])
        starts = [e.start_time for e in events if e.type == "start" and e.label == "high"]
        assert starts == [pytest.approx(1012 + shift / RATE, abs=0.2)]


def test_a_probe_finds_a_steady_sound_that_began_before():
    """A hum that began before the daemon is found by a probe, and is one event until it ends."""
    samples = np.random.default_rng(0).normal(0, 3, 60 * RATE)
    samples[: 50 * RATE] += tone(300, 50)
    config = Config.model_validate({"gate": {"vad_mode": None, "probe_seconds": 10}, "events": {"threshold": 0.9}})
    start, end = events_of(blocks_of(samples.astype(np.int16), (60 * RATE,)), config=config)
    assert (start.label, start.gate) == ("low", "probe")
    assert start.start_time == pytest.approx(1010, abs=0.2)
    assert end.end_time == pytest.approx(1050, abs=3)


def test_a_long_sound_is_one_event():
    """A tone of 12 s is one event over many windows."""
    samples = np.random.default_rng(0).normal(0, 3, 20 * RATE)
    samples[3 * RATE : 15 * RATE] += tone(300, 12)
    start, end = events_of(blocks_of(samples.astype(np.int16)))
    assert end.end_time - start.start_time == pytest.approx(12, abs=0.1)


def test_lost_audio_does_not_move_events():
    """Two seconds of lost audio between two tones leave the time of the second unchanged."""
    events = events_of(blocks_of(street_of_tones(), gaps=range(280, 346)))
    assert events[2].label == "high"
    assert events[2].start_time == pytest.approx(1012, abs=0.2)


def test_silence_causes_no_inference():
    """During silence the network classifies no window."""
    classified = []
    silence = blocks_of(np.zeros(20 * RATE, np.int16))
    events_of(silence, lambda log_mel: classified.append(log_mel) or low_or_high(log_mel))
    assert classified == []


@given(st.integers(1, 200_000))
def test_clip_windows_cover_the_clip(length):
    """Each sample of a clip lies in a window; zeros follow a short clip."""
    samples = np.arange(length, dtype=np.int64).astype(np.int16)
    windows = clip_windows(samples, FEATURES.window_length)
    assert windows.shape[1] == FEATURES.window_length
    np.testing.assert_array_equal(windows[0, : min(length, FEATURES.window_length)], samples[: FEATURES.window_length])
    if length > FEATURES.window_length:
        np.testing.assert_array_equal(windows[-1], samples[-FEATURES.window_length :])
        assert len(windows) >= (length - FEATURES.window_length) / (FEATURES.window_length // 2)


def test_classify_clip_is_the_mean_of_its_windows():
    """A clip's scores are the mean of the scores of its windows."""
    clip = np.concatenate([tone(300, 3), tone(5000, 3)]).astype(np.int16)
    scores, audioset = classify_clip(clip, FEATURES.window_length, score_log_mel(FEATURES, low_or_high))
    assert audioset is None
    by_window = [low_or_high(log_mel(window, FEATURES)) for window in clip_windows(clip, FEATURES.window_length)]
    assert len(by_window) == 3
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, np.mean(by_window, axis=0), rtol=1e-6)


@pytest.mark.parametrize("minimum_seconds", [0.0, 1.0, 6.0])
def test_a_gate_that_opens_late_keeps_the_onset(minimum_seconds):
    """For any `minimum_seconds`, the ring buffer still contains the sound's onset and the pre-roll before it."""
    samples = np.random.default_rng(0).normal(0, 3, 20 * RATE)
    samples[5 * RATE : 13 * RATE] += tone(300, 8)
    config = Config.model_validate(
        {
            "gate": {"vad_mode": None, "probe_seconds": None, "minimum_seconds": minimum_seconds},
            "window": {"pre_roll_seconds": 1.0},
        }
    )
    start, end = events_of(blocks_of(samples.astype(np.int16)), config=config)
    assert start.start_time == pytest.approx(1005.0, abs=0.2)
    assert end.end_time == pytest.approx(1013.0, abs=1.0)


def test_an_alarm_pattern_is_an_event_beside_the_labels():
    """A smoke alarm's beeps are an event of their own, from the first beep to the last, through the gate."""
    samples = np.random.default_rng(0).normal(0, 3, 30 * RATE)
    for beep in (5.0, 6.0, 7.0, 9.0, 10.0, 11.0):
        samples[round(beep * RATE) : round((beep + 0.5) * RATE)] += tone(3100, 0.5)
    events = [event for event in events_of(blocks_of(samples.astype(np.int16))) if event.vocabulary == "pattern"]
    assert [(event.type, event.label) for event in events] == [("start", "smoke_alarm_t3"), ("end", "smoke_alarm_t3")]
    assert events[1].start_time == pytest.approx(1005, abs=0.1)
    assert events[1].end_time == pytest.approx(1011.5, abs=0.1)
    assert -20 < events[1].level_dbfs < -10
