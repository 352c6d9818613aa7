"""Tests of `earshot bench`: what the table contains, not how fast this machine is."""

import json

import pytest
from tiny_bundle import write_tiny_bundle

from device.cli.bench_work import quiet_sound, quiet_work
from device.cli.main import main
from device.config.models import Config
from device.model.bundle import load_bundle
from device.model.ensemble import Ensemble


@pytest.fixture
def bundle(tmp_path):
    """Return the option for a tiny bundle of two networks."""
    return f"model.bundle={write_tiny_bundle(tmp_path / 'tiny')}"


def test_each_network_and_the_quiet_path_are_measured(bundle, capsys):
    """The JSON contains times above zero for a quiet second, and for features and inference of each network."""
    assert main(["bench", "--json", "--set", bundle]) == 0
    result = json.loads(capsys.readouterr().out)
    times = {name: value for name, value in result["figures"].items() if ", ms" in name}
    assert {name.partition(":")[0] for name in times if "inference" in name} == {"audioset", "inception"}
    assert "a quiet second, ms of CPU time" in times
    assert all(value > 0 for value in times.values())
    assert result["machine"]["cores"] >= 1
    assert "runtime" in result["machine"]


def test_the_table_can_be_sent_in(bundle, capsys):
    """The table is Markdown, so it can be pasted into an issue."""
    assert main(["bench", "--set", bundle]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["| machine | |", "| --- | --- |"]
    assert all(line.count("|") == 3 for line in lines if line)


def test_a_quiet_second_has_no_window(tmp_path):
    """The sound of a quiet second never opens the gate, so that its cost is that of listening alone."""
    bundle = load_bundle(write_tiny_bundle(tmp_path / "tiny"))
    ensemble = Ensemble(bundle)
    ensemble.classify_live = None  # a window would fail
    quiet_work(Config(), bundle, ensemble)(quiet_sound(12))


def test_quiet_sound_has_the_length_that_was_asked_for():
    """The reads are contiguous, and contain all seconds of two channels at 48 kHz."""
    reads = quiet_sound(3)
    assert sum(len(read.data) for read in reads) == 3 * 48000 * 2 * 2
    assert [read.offset for read in reads[:2]] == [0, len(reads[0].data)]
    assert quiet_sound(0) == []
