"""Tests of the estimate for Raspberry Pis: its arithmetic, and the table of docs/hardware.md."""

import json

import pi_estimate
import pytest
from instructions import START, read_record
from pi_estimate import BOARDS, Board
from tiny_bundle import write_tiny_bundle

from device.cli.main import main

COUNTS = {
    "a quiet second": 1_000_000,
    "audioset: log-mel of a window": 2_000_000,
    "audioset: inference of a window": 3_000_000,
    "inception: log-mel of a window": 4_000_000,
    "inception: inference of a window": 50_000_000,
    START: 6_000_000_000,
}


def test_time_is_instructions_over_rate(monkeypatch):
    """At one to two instructions per cycle and 1 GHz, a million instructions take 0.5 to 1 ms."""
    for table in ("INFERENCE_PER_CYCLE", "PYTHON_PER_CYCLE"):
        monkeypatch.setattr(pi_estimate, table, {"core": (1.0, 2.0)})
    rows = dict(pi_estimate.estimates(Board("board", "core", 1000), COUNTS))
    assert rows["a quiet second, ms of CPU time"] == (0.5, 1.0)
    assert rows["inception: inference of a window, ms"] == (25.0, 50.0)
    assert rows["a window by all networks, ms"] == pytest.approx((29.5, 59.0))
    assert rows["start of `earshot run`, both networks, s"] == (3.0, 6.0)
    quiet, light, both = (rows[name] for name in rows if name.endswith("% of a core"))
    assert light[1] - quiet[1] == pytest.approx(0.5)  # a window of 5 ms each second
    assert both[1] - quiet[1] == pytest.approx(5.9)


def test_the_page_has_the_table_of_the_recorded_counts():
    """docs/hardware.md has the estimate of the counts that are recorded: `make counts` writes both."""
    page = pi_estimate.PAGE.read_text(encoding="utf-8")
    assert page == pi_estimate.page_with(page, pi_estimate.table(read_record()))
    assert all(f"{board.name} |" in page for board in BOARDS)


def test_the_first_rows_are_those_of_earshot_bench(tmp_path, capsys):
    """A user can compare the table of `earshot bench` with the estimate, row by row."""
    assert main(["bench", "--json", "--set", f"model.bundle={write_tiny_bundle(tmp_path / 'tiny')}"]) == 0
    measured = json.loads(capsys.readouterr().out)["figures"]
    estimated = pi_estimate.estimates(BOARDS[0], COUNTS)
    names = [name for name, _ in estimated]
    assert names[:6] == [name for name in measured if ", ms" in name]
