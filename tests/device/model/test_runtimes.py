"""Tests of the two runtimes that compute the networks."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from device.audio.files import read_samples
from device.errors import UnavailableError
from device.model import classifier
from device.model.classifier import interpreter_class, runtime_name
from device.model.clip_scoring import clip_windows
from device.service.runtime import open_bundle

ROOT = Path(__file__).parents[3]
BUNDLES = ["urbansound8k", "urbansound8k-light"]
TFLITE_RUNTIME = pytest.param(
    "tflite-runtime",
    marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime has no wheel after Python 3.11"),
)


@pytest.fixture
def use(monkeypatch):
    """Return a function that leaves only these runtimes, by package."""
    modules = dict(classifier.RUNTIMES)

    def leave(*packages):
        monkeypatch.setattr(classifier, "RUNTIMES", {package: modules[package] for package in packages})

    return leave


@pytest.mark.parametrize("package", ["ai-edge-litert", TFLITE_RUNTIME])
@pytest.mark.parametrize("name", BUNDLES)
def test_each_shipped_bundle_passes_its_self_test_in_each_runtime(package, name, use):
    """The golden log-mels and outputs are computed within their tolerances, by the runtime that was asked for."""
    use(package)
    _, ensemble = open_bundle(ROOT / "models" / name)
    module = classifier.RUNTIMES[package]
    assert {type(network._interpreter).__module__ for network in ensemble.networks.values()} == {module}
    assert runtime_name().startswith(f"{package} ")


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime has no wheel after Python 3.11")
@pytest.mark.parametrize("name", BUNDLES)
def test_both_runtimes_give_the_same_scores(name, use, demo_recording):
    """The scores of real sound differ by rounding, and every confident window has the same label."""
    windows = clip_windows(read_samples(demo_recording, 16000), 48000)[::2]
    scores = {}
    for package in ("ai-edge-litert", "tflite-runtime"):
        use(package)
        _, ensemble = open_bundle(ROOT / "models" / name)
        scores[package] = np.array([ensemble.classify_live(window).scores for window in windows])
    first, second = scores.values()
    np.testing.assert_allclose(first, second, atol=0.1)
    confident = first.max(axis=1) > 0.6
    assert confident.any()
    np.testing.assert_array_equal(first.argmax(axis=1)[confident], second.argmax(axis=1)[confident])


def test_the_faster_runtime_is_preferred():
    """With both installed, ai-edge-litert computes the networks."""
    assert runtime_name().startswith("ai-edge-litert ")


def test_a_runtime_that_cannot_be_loaded_is_passed_over(monkeypatch):
    """An interpreter that is absent, or compiled for another numpy, leaves the work to the other one."""
    other = object()

    def load(module):
        if module.startswith("ai_edge_litert"):
            raise ImportError("numpy.core.multiarray failed to import")
        return type("Module", (), {"Interpreter": other})

    monkeypatch.setattr(importlib, "import_module", load)
    assert interpreter_class() is other


def test_no_runtime_is_one_clear_error(monkeypatch):
    """Without any runtime, the error contains the reason for each, and the cure."""
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(
        UnavailableError, match=r"\(.*ai_edge_litert.*; .*tflite_runtime.*\)\. Install Earshot with pip"
    ):
        interpreter_class()
