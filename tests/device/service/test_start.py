"""Tests of the daemon's start: what it loads, when the capture process starts, and the garbage collector."""

import gc
import subprocess
import sys

import pytest

from device.cli.main import main
from device.service import daemon


def modules_after(program):
    """Return the modules that are loaded after a program, in a process of its own."""
    program += "; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_daemon_imports_nothing_large_that_it_does_not_need(light_bundle_path):
    """With a microphone, and without clips and taught labels, no library and no module for other tasks is loaded."""
    program = f"""
from device.cli import run
from device.config.loader import load_config
from device.service.runtime import load_settings
config = load_config(overrides=["model.bundle={light_bundle_path}"])
load_settings(config)
import device.service.daemon"""
    loaded = modules_after(program)
    assert "device.model.features" in loaded
    assert not loaded & {"scipy", "scipy.fft", "scipy.special", "google.protobuf", "ai_edge_litert.compiled_model"}
    assert not loaded & {"soundfile", "multiprocessing", "asyncio", "concurrent.futures", "difflib"}
    assert not loaded & {"device.teaching", "device.audio.file_source", "device.model.manifest_v1", "device.web"}


def test_the_capture_process_starts_before_numpy_is_loaded():
    """The module that starts it loads no library for samples, so the microphone opens while the rest is loaded."""
    loaded = modules_after("import device.cli.run")
    assert "device.audio.capture_process" in loaded
    assert not loaded & {"numpy", "soxr", "device.types", "paho", "sqlite3"}


@pytest.mark.parametrize("setting", ["mqtt.port=1", "mqtt.port=none"])
def test_the_garbage_collector_runs_with_the_daemon(light_bundle_path, tmp_path, monkeypatch, setting):
    """It is off while modules and networks load, on while the daemon listens, and on after a run that has failed."""
    states = []

    class Pipeline(daemon.Pipeline):
        def run(self, _blocks):
            states.append(gc.isenabled())
            return iter(())

    original = daemon.Outbox
    monkeypatch.setattr(daemon, "Pipeline", Pipeline)
    monkeypatch.setattr(daemon, "Outbox", lambda *parts: states.append(gc.isenabled()) or original(*parts))
    monkeypatch.setattr(daemon, "_deliver", lambda *_: None)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    command = ["run", "--input", "deploy/demo/street.flac", "--speed", "max", "--exit-at-end", "--set", setting]
    code = main([*command, "--set", f"model.bundle={light_bundle_path}"])
    assert (code, states) in ((0, [False, True]), (78, []))
    assert gc.isenabled()
