"""Tests of teaching with the shipped bundle, synthesised sounds, and kept clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from taught_sounds import RATE, beeps, clicks, to_int16, write_clips
from tiny_bundle import write_tiny_bundle

from device.clips.store import ClipFolder
from device.errors import ConfigError, InputError
from device.model.bundle import load_bundle
from device.model.clip_scoring import clip_windows
from device.teaching.embedder import Embedder
from device.teaching.library import ClipFile, TaughtLibrary, open_taught
from device.teaching.taught_file import write_taught

MODELS = Path(__file__).resolve().parents[3] / "models"
FULL, LIGHT = (load_bundle(MODELS / name) for name in ("urbansound8k", "urbansound8k-light"))


def files(paths):
    return [ClipFile(path, path.name) for path in paths]


def is_detected(state, bundle, label, samples):
    """Return whether a taught label detects a clip."""
    rows = Embedder(bundle).embed(clip_windows(samples, bundle.window_length)).astype(np.float32)
    return open_taught(state, bundle).probabilities(list(rows))[label] >= 0.5


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """Return a state directory in which `timer` was taught with four clips, their paths, and the taught sound."""
    state = tmp_path_factory.mktemp("taught")
    paths = write_clips(state / "sounds", beeps, 4)
    return state, paths, TaughtLibrary(state, LIGHT).teach("timer", files(paths))


def test_a_sound_is_taught_from_four_clips(taught):
    """Further clips of the sound are detected, another sound is not; the figures are those of the lesson."""
    state, _, sound = taught
    assert sound.figures.recognized == sound.figures.clips == 4
    assert sound.figures.ambience_minutes == pytest.approx(6.6)
    assert sound.figures.false_alarms == 0
    assert is_detected(state, LIGHT, "timer", beeps(20))
    assert not is_detected(state, LIGHT, "timer", clicks(20))


def test_another_bundle_with_the_same_embedding_uses_it(taught):
    """The heads differ, and so the hash of the file, but the embedding is the same."""
    state, *_ = taught
    assert FULL.manifest.first.sha256 != LIGHT.manifest.first.sha256
    taught_sounds = open_taught(state, FULL)
    assert (list(taught_sounds.labels), taught_sounds.faults) == (["timer"], ())
    assert is_detected(state, FULL, "timer", beeps(21))


def test_for_another_network_clips_are_learned_anew_or_missed(tmp_path):
    """With another network, a label whose clips exist is learned again and stored; without them, it is a fault."""
    paths = write_clips(tmp_path / "sounds", beeps, 3)
    state = tmp_path / "state"
    TaughtLibrary(state, LIGHT).teach("timer", files(paths))
    tiny = load_bundle(write_tiny_bundle(tmp_path / "tiny"))
    for path in paths[:1]:
        path.rename(path.with_suffix(".away"))
    taught_sounds = open_taught(state, tiny)
    assert not taught_sounds.labels
    (fault,) = taught_sounds.faults
    assert "timer: taught with another network, and 2 of its 3 clips are still there. Teach it again" in fault
    assert list(open_taught(state, LIGHT).labels) == ["timer"]
    paths[0].with_suffix(".away").rename(paths[0])
    relearned = open_taught(state, tiny)
    assert (list(relearned.labels), relearned.faults) == (["timer"], ())
    assert TaughtLibrary(state, tiny).sounds[0].network == tiny.manifest.first.sha256


def test_more_clips_are_added_and_a_label_is_removed(taught, tmp_path):
    """A second lesson adds its clips; `forget` removes the label; an export brings it back."""
    _, paths, _ = taught
    library = TaughtLibrary(tmp_path, LIGHT)
    library.teach("timer", files(paths[:3]))
    assert library.teach("timer", files(paths[3:])).figures.clips == 4
    library.export(tmp_path / "export.npz")
    assert library.forget("timer") == 4
    assert not open_taught(tmp_path, LIGHT).labels
    with pytest.raises(InputError, match="'timer': not taught"):
        library.forget("timer")
    assert [sound.name for sound in library.add(tmp_path / "export.npz")] == ["timer"]
    assert is_detected(tmp_path, LIGHT, "timer", beeps(22))


def test_the_same_sound_under_another_name_is_refused(taught, tmp_path):
    """The refusal names the taught label from which it cannot be told, and nothing is stored."""
    state, *_ = taught
    copy = tmp_path / "taught.npz"
    copy.write_bytes((state / "taught.npz").read_bytes())
    library = TaughtLibrary(tmp_path, LIGHT)
    with pytest.raises(InputError, match="cannot be told from the taught label timer") as error:
        library.teach("alarm", files(write_clips(tmp_path / "sounds", beeps, 3, first=30)))
    assert "AudioSet" in str(error.value) or "events.audioset" in str(error.value)
    assert copy.read_bytes() == (state / "taught.npz").read_bytes()


def test_an_exclusion_is_taught_for_a_label_of_the_bundle(tmp_path):
    """Its own clips are detected, and the shipped sounds of the label are mostly spared."""
    library = TaughtLibrary(tmp_path, LIGHT)
    sound = library.teach("siren", files(write_clips(tmp_path, beeps, 3)), is_exclusion=True)
    assert sound.figures.rivals > 10
    assert sound.figures.rivals_detected <= 0.1 * sound.figures.rivals
    rows = Embedder(LIGHT).embed(clip_windows(beeps(23), LIGHT.window_length)).astype(np.float32)
    assert open_taught(tmp_path, LIGHT).excluded(["siren", "dog_bark"], list(rows)) == {"siren"}


def test_kept_clips_are_counted_and_corrected_ones_are_negatives(tmp_path):
    """An uncorrected clip with the sound is counted as detected; one that was corrected to it is no negative."""
    folder = ClipFolder(tmp_path / "clips")
    ids = [f"01a203db-acf5-764e-a16f-{number:012d}" for number in range(3)]
    for number, (event_id, samples) in enumerate(zip(ids, (beeps(40), clicks(41), clicks(42)), strict=True)):
        folder.save(event_id, 1000.0 + number, "siren", samples, RATE)
    folder.relabel(ids[2], "gun_shot")
    figures = TaughtLibrary(tmp_path, LIGHT).teach("timer", files(write_clips(tmp_path / "s", beeps, 3))).figures
    assert (figures.kept_clips, figures.kept_detected) == (2, 1)


@pytest.mark.parametrize(
    ("sounds", "message"),
    [
        ([beeps(0), beeps(1)], "2 clips are too few. Give 3 to 20"),
        ([beeps(0), beeps(1), beeps(0)], "the same sound as clip0.wav. Give each recording once"),
        ([beeps(0), beeps(1), np.zeros(RATE, np.int16)], "silent: its loudest 30 ms have -120 dBFS"),
        ([beeps(0), beeps(1), beeps(2)[:1000]], "lasts 0.06 s, the shortest clip is 0.1 s"),
        ([beeps(0), beeps(1), np.tile(beeps(2), 31)], "lasts 62 s, the longest clip is 60 s"),
        ([np.full(21, 99, np.int16)] * 3, "the shortest clip is"),
    ],
)
def test_bad_clips_are_refused(tmp_path, sounds, message):
    """The error names the file, the fault and the cure; nothing is stored."""
    for number, samples in enumerate(sounds):
        soundfile.write(tmp_path / f"clip{number}.wav", samples, RATE)
    paths = [tmp_path / f"clip{number}.wav" for number in range(len(sounds))]
    with pytest.raises(InputError, match=message):
        TaughtLibrary(tmp_path / "state", LIGHT).teach("timer", files(paths))
    assert not (tmp_path / "state").exists()


def test_noise_is_refused_because_the_ambience_contains_it(tmp_path):
    """Clips of rain-like noise cannot be told from the shipped negatives, which the refusal names."""
    noise = [to_int16(np.random.default_rng(seed).normal(0, 0.1, 2 * RATE)) for seed in range(3)]
    for number, samples in enumerate(noise):
        soundfile.write(tmp_path / f"{number}.wav", samples, RATE)
    with pytest.raises(InputError, match=r"hiss: refused: of 3 clips, 0 are recognized.*They cannot be told from"):
        TaughtLibrary(tmp_path, LIGHT).teach("hiss", files(sorted(tmp_path.glob("*.wav"))))


def test_labels_of_the_bundle_and_bundles_without_the_network_are_refused(tmp_path, bundle_v1_or_inception):
    """A label of the bundle is not taught; a bundle without an embedding names those that have one."""
    with pytest.raises(InputError, match="siren: is a label of the bundle"):
        TaughtLibrary(tmp_path, LIGHT).teach("siren", [])
    with pytest.raises(ConfigError, match="has no AudioSet network, so it cannot be taught"):
        TaughtLibrary(tmp_path, bundle_v1_or_inception)


def test_a_damaged_file_is_a_fault_and_detection_continues(tmp_path):
    """The detectors are empty, and the fault has the path."""
    (tmp_path / "taught.npz").write_bytes(b"PK")
    taught_sounds = open_taught(tmp_path, LIGHT)
    assert not taught_sounds.labels
    assert str(tmp_path / "taught.npz") in taught_sounds.faults[0]


@pytest.fixture
def bundle_v1_or_inception(tmp_path):
    return load_bundle(write_tiny_bundle(tmp_path / "inception", networks=("inception",)))


def test_an_alarm_pattern_is_not_taught(taught, tmp_path):
    """It is detected by rule: no label has its name, no sound is excluded from it, and one of an export is a fault."""
    library = TaughtLibrary(tmp_path, LIGHT)
    for is_exclusion in (False, True):
        with pytest.raises(InputError, match=r"smoke_alarm_t3: .*by rule"):
            library.teach("smoke_alarm_t3", files([tmp_path / "beep.wav"]), is_exclusion=is_exclusion)
    write_taught(library.path, [replace(taught[2], name="smoke_alarm_t3")])
    opened = open_taught(tmp_path, LIGHT)
    assert opened.labels == {}
    assert "also an alarm pattern, which is used" in opened.faults[0]
