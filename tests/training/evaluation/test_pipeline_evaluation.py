"""Scenes, and the pipeline's results on them."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from fake_bundle import score_log_mel
from support import make_bundle

from device.model.features import FeatureConfig
from device.util.samples import level_dbfs
from training.data.ambience import run_pipeline
from training.data.dataset import Clip, Dataset
from training.evaluation.pipeline_evaluation import PipelineResult, pipeline_figures, play_scenes
from training.evaluation.scenes import SceneConfig, draw_clips, make_scene, random_excerpt

RATE = 16000
FEATURES = FeatureConfig(sample_rate=RATE)
SCENE = SceneConfig(lead_seconds=12.0, tail_seconds=2.0)


def noise(seconds, level=0.05):
    return level * np.random.default_rng(3).normal(size=int(seconds * RATE))


@pytest.fixture
def places(tmp_path) -> Dataset:
    """Two labels and ambience in two folds; the second clip of each label is in the background."""
    clips = []
    for fold in (1, 2):
        for label in ("high", "low"):
            for front in (True, False):
                path = tmp_path / f"{fold}-{label}-{front}.wav"
                hertz = 2500 if label == "high" else 500
                soundfile.write(path, 0.3 * np.sin(2 * np.pi * hertz * np.arange(2 * RATE) / RATE), RATE)
                clips.append(Clip(path, label, path.stem, fold, front))
        path = tmp_path / f"{fold}-place.wav"
        soundfile.write(path, noise(30), RATE)
        clips.append(Clip(path, "unknown", path.stem, fold))
    return Dataset("places", ("low", "high"), tuple(clips), "")


def classify_by_pitch(log_mel):
    """Classify a log-mel by the tone that stands out, if any does."""
    rows = log_mel.max(axis=1)
    low, high = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    scores = np.array([low.max() - np.median(rows), high.max() - np.median(rows)], np.float32)
    return np.clip(scores * (scores == scores.max()), 0, 1)


def test_a_scene_contains_its_clip_at_its_level(places):
    """The clip begins after the lead, at the configured level above the ambience."""
    config = SceneConfig(above_db=(20.0, 20.0), lead_seconds=5.0, tail_seconds=1.0, ambience_dbfs=-45.0)
    scene = make_scene(places.clips[0], [(noise(30) * 32768).astype(np.int16)], config, RATE, np.random.default_rng(0))
    assert (scene.start, scene.end) == (5 * RATE, 7 * RATE)
    assert len(scene.samples) == 8 * RATE
    assert level_dbfs(scene.samples[: scene.start]) == pytest.approx(-45.0, abs=0.5)
    assert level_dbfs(scene.samples[scene.start : scene.end]) == pytest.approx(-25.0, abs=0.5)


def test_only_foreground_clips_of_the_fold_are_drawn(places):
    """Clips that UrbanSound8K marks as background are not in scenes."""
    drawn = draw_clips(places, 2, 10, np.random.default_rng(0))
    assert [(clip.fold, clip.label, clip.foreground) for clip in drawn] == [(2, "high", True), (2, "low", True)]
    assert len(draw_clips(places, 2, 0, np.random.default_rng(0))) == 0


def test_a_short_recording_is_repeated():
    """Ambience that is shorter than the scene is repeated, without silence."""
    short = np.arange(1, 11, dtype=np.int16)
    assert random_excerpt(short, 25, np.random.default_rng(0)).tolist() == [*range(1, 11), *range(1, 11), *range(1, 6)]
    assert len(random_excerpt(short, 4, np.random.default_rng(0))) == 4


def use_network(monkeypatch, network):
    """Replace the networks of every bundle by a plain function: log-mel -> scores."""
    ensemble = SimpleNamespace(**dict.fromkeys(("classify_live", "classify_look"), score_log_mel(FEATURES, network)))
    monkeypatch.setattr("training.evaluation.pipeline_evaluation.Ensemble", lambda _: ensemble)


def test_a_clip_is_classified_and_detected(places, monkeypatch):
    """With a perfect network, every scene is classified and detected, and ambience alone gives no event."""
    use_network(monkeypatch, classify_by_pitch)
    bundle = make_bundle(FEATURES, ("low", "high"), threshold=0.3)
    results = play_scenes(bundle, places, 1, SCENE, 0)
    assert results.detected == {"low": [True], "high": [True]}
    assert results.on_window == {"low": [True], "high": [True]}
    assert results.ambience_hours == pytest.approx(30 / 3600)
    again = play_scenes(bundle, places, 1, SCENE, 0)
    assert again == results


def test_gate_recall_does_not_depend_on_the_network(places, monkeypatch):
    """With a network without scores, clips are classified but not detected."""
    use_network(monkeypatch, lambda _: np.zeros(2, np.float32))
    results = play_scenes(make_bundle(FEATURES, ("low", "high")), places, 2, SCENE, 0)
    assert results.detected == {"low": [False], "high": [False]}
    assert results.on_window == {"low": [True], "high": [True]}


def test_without_ambience_there_is_no_result(places):
    """A dataset without negatives has no results of the pipeline."""
    bare = Dataset("bare", places.labels, tuple(clip for clip in places.clips if clip.label != "unknown"), "")
    assert play_scenes(make_bundle(FEATURES, ("low", "high")), bare, 1, SCENE, 0) is None


def test_events_in_ambience_are_returned(places):
    """Events in ambience are returned, and the classified windows end at the sound."""
    samples = (noise(30) * 32768).astype(np.int16)
    samples[20 * RATE : 22 * RATE] *= 5
    bundle = make_bundle(FEATURES, ("low", "high"))
    events, windows = run_pipeline(samples, bundle, score_log_mel(FEATURES, lambda _: np.array([0.9, 0.1], np.float32)))
    assert [event.label for event in events if event.type == "start"][:1] == ["low"]
    assert any(20 * RATE < end <= 24 * RATE for end in (window.start + FEATURES.window_length for window in windows))


def test_figures_pool_folds_by_clip():
    """Shares are over all clips; a label without scenes has none."""
    results = [
        PipelineResult({"a": [True, True], "b": []}, {"a": [True, False], "b": []}, ["a"], 0.25),
        PipelineResult({"a": [True, False], "b": []}, {"a": [False, False], "b": []}, ["a", "b"], 0.25),
    ]
    figures = pipeline_figures(results, ("a", "b"))
    assert (figures["clips"], figures["gate_recall"], figures["recall"]) == (4, 0.75, 0.25)
    assert figures["per_label"]["b"] == {"gate_recall": None, "recall": None}
    assert figures["false_events_per_hour"] == 6.0
    assert figures["false_events"] == {"a": 2, "b": 1}


def test_evaluation_and_card_contain_the_pipelines_figures(trained):
    """`earshot-train evaluate` writes the pipeline's figures of each fold and pooled, and the card contains them."""
    evaluation = json.loads((trained.output / "evaluation.json").read_text())
    folds = [each["pipeline"] for each in evaluation["folds"].values() if each["pipeline"]]  # else without ambience
    pooled = evaluation["pooled"]["pipeline"]
    assert pooled["clips"] == sum(each["clips"] for each in folds) == 6 * len(folds) > 0
    assert pooled["ambience_hours"] == pytest.approx(3 * 12.0 / 3600, abs=1e-3)
    assert 0 <= pooled["recall"] <= 1
    card = Path(trained.output / "bundle" / "MODEL_CARD.md").read_text()
    assert "## Through gate, windows and events" in card
    assert "false events per hour" in card
