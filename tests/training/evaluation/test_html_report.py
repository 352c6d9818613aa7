"""The HTML report."""

import base64
import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.data.dataset import Clip
from training.evaluation.html_report import NetworkCurves, precision_recall, worst_mistakes, write_report
from training.evaluation.metrics import Predictions
from training.fitting.thresholds import THRESHOLD_CANDIDATES, unknown_rule

LABELS = ("clicks", "hiss", "tone")


class Page(HTMLParser):
    """Resources, text and pictures of a page."""

    def __init__(self, text):
        super().__init__()
        self.sources, self.text, self.pictures = [], "", 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.sources += [values[name] for name in ("src", "href", "xlink:href") if name in values]
        self.pictures += tag == "svg"

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(trained):
    return Page((trained.output / "report.html").read_text())


def test_the_report_needs_nothing_beside_it(page):
    """All pictures and sounds are inside the page, so it opens without network and can be sent to others."""
    assert page.sources
    assert all(source.startswith(("data:", "#")) for source in page.sources)


def test_the_report_contains_every_figure(page):
    """The page contains every figure, with the labels and the protocol in words."""
    headings = ("Accuracy", "Confusion", "Precision and recall", "Reliability", "Through gate", "False alarms")
    for heading in (*headings, "Training curves", "Worst mistakes", "leave one fold out", "folds missing: 2", "clicks"):
        assert heading in page.text
    assert page.pictures >= 6


def test_a_mistake_has_a_player_and_names_are_escaped(trained, tmp_path):
    """A mistake has a player with its whole sound, and a folder's name is escaped."""
    wrong = np.array([[0.1, 0.9, 0.0], [0.9, 0.1, 0.0]], np.float32)
    predictions = Predictions(np.array([0, 1]), np.array([0, 0]), wrong, wrong, unknown_rule(False, 1.0))
    evaluation = json.loads((trained.output / "evaluation.json").read_text())
    learning = {
        "all": NetworkCurves(dict.fromkeys(LABELS, 0.5), dict.fromkeys(LABELS, [0.0] * len(THRESHOLD_CANDIDATES)), {})
    }
    dataset = replace(trained.dataset, name="<script>alert(1)</script>")
    features = trained.config.spectrograms.features
    write_report(tmp_path / "r.html", evaluation, [predictions], dataset, features, learning, "earshot-train <x>")
    text = (tmp_path / "r.html").read_text()
    assert "<script" not in text
    page = Page(text)
    assert "clicks classified as hiss, 90.0 %" in page.text
    assert page.text.count(" classified as ") == 1
    (player,) = [source for source in page.sources if source.startswith("data:audio/ogg;base64,")]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(player.split(",")[1])))
    assert rate == features.sample_rate
    assert len(samples) / rate == pytest.approx(1.2, abs=0.05)


def test_worst_mistakes_are_confident_and_of_different_recordings():
    """Only wrong labels count, ordered by confidence, at most one per recording."""
    clips = [Clip(Path(f"{n}.wav"), "a", recording, 1) for n, recording in enumerate("rrsst")]
    scores = np.array([[0.2, 0.7], [0.1, 0.9], [0.4, 0.6], [0.9, 0.1], [0.3, 0.3]], np.float32)
    decisions = np.array([1, 1, 1, 0, 2])
    assert worst_mistakes(clips, np.zeros(5, np.int64), decisions, scores) == [1, 2]


def test_precision_and_recall_of_known_scores():
    """A label with the highest scores on its clips has an average precision of 1; one without clips has no curve."""
    target = np.array([0, 0, 1])
    scores = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.1, 0.15, 0.0]], np.float32)
    curves = precision_recall(target, scores, ("a", "b", "c"))
    assert set(curves) == {"a", "b"}
    assert curves["a"][2] == 1.0
    assert curves["b"][2] == 0.5
