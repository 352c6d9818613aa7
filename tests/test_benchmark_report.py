"""Tests of the benchmarks' report: the form of a figure, the page, the plot, and benchmarks that fail."""

from xml.etree import ElementTree

import pytest
import report
from figures import Figure, Skipped, publish, read_results
from results_page import Row, write_page, write_plot

MACHINE = {
    "processor": "Some Processor, 2 cores",
    "python": "3.11.2",
    "runtime": "ai-edge-litert 2.3.0",
    "numpy": "2.4.6",
}
REACHED = Figure("quiet second", 1.25, "ms of CPU", 5.0, "YAMNet", 0.5)
MISSED = Figure("start until READY", 2.1, "s", goal=0.7)
MOVED = Figure("instructions of a window", 10.1, "million", 10.0, "recorded 2026-11-28", is_change=True)
BARE = Figure("size", 1234.5, "bytes")
ABSENT = Skipped("stream", "GStreamer | is missing")


def rows_of(path):
    """Return the cells of each row of a page's tables."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.replace("\\|", "/").strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return {cells[0].strip(): [cell.strip() for cell in cells] for cells in rows}


@pytest.fixture
def page(tmp_path):
    """Return the rows of a page with each kind of result."""
    results = (REACHED, MISSED, MOVED, BARE, ABSENT)
    rows = [Row("some_benchmark", result, "2026-11-28", 0.25) for result in results]
    write_page(rows, MACHINE, tmp_path / "results.md", plot="results.svg")
    return rows_of(tmp_path / "results.md")


def test_a_row_has_figure_peer_ratio_goal_and_circumstances(page):
    """A row contains all that a reader needs to judge the figure."""
    versions = "3.11.2, ai-edge-litert 2.3.0, 2.4.6"
    assert page["quiet second"] == [
        *("quiet second", "1.25 ms of CPU", "5: YAMNet", "0.25", "0.5: reached"),
        *("Some Processor, 2 cores", versions, "2026-11-28", "0.2", "some_benchmark"),
    ]


def test_a_figure_without_a_peer_is_compared_with_its_goal(page):
    """Without a peer, the goal limits our value; one that is missed stands out."""
    assert page["start until READY"][1:5] == ["2.1 s", "", "", "0.7: **missed**"]


def test_a_change_is_a_percentage(page):
    """A ratio to the recorded value of the same quantity is reported as a change in percent."""
    assert page["instructions of a window"][3] == "+1.0 %"


def test_what_was_not_measured_has_its_reason(page):
    """A figure that this machine cannot measure has a row with the reason, which cannot break the table."""
    assert page["stream"] == ["stream", "GStreamer / is missing", "some_benchmark"]


def test_figures_survive_the_way_to_the_report(capsys):
    """Results printed as JSON are read by the report unchanged."""
    results = [REACHED, MISSED, MOVED, BARE, ABSENT]
    publish(results, as_json=True)
    assert list(read_results(capsys.readouterr().out.splitlines())) == results


def test_a_goal_of_zero_allows_nothing():
    """A goal of zero, such as for lost sound, is reached by zero alone."""
    assert Figure("lost sound", 0.0, "s", goal=0.0).share_of_goal == 1.0
    assert Figure("lost sound", 0.1, "s", goal=0.0).share_of_goal > 1.0


def test_the_plot_names_each_figure_with_a_goal_or_a_peer(tmp_path):
    """The plot is an SVG with the name and the value of each bar, and the same figures give the same file."""
    for name in ("first.svg", "second.svg"):
        write_plot([REACHED, MISSED, MOVED, BARE], tmp_path / name)
    first = (tmp_path / "first.svg").read_bytes()
    texts = [element.text for element in ElementTree.fromstring(first).iter() if element.tag.endswith("}text")]
    assert "quiet second / YAMNet" in texts
    assert "start until READY" in texts
    assert {"0.5", "3"} <= set(texts)  # shares of the goals
    assert "size" not in texts
    assert first == (tmp_path / "second.svg").read_bytes()


def test_without_figures_there_is_still_a_plot(tmp_path):
    """On a machine that measured nothing, the page's link is not dead."""
    write_plot([], tmp_path / "empty.svg")
    assert ElementTree.parse(tmp_path / "empty.svg").getroot().tag.endswith("}svg")


def test_a_benchmark_that_fails_is_a_row_with_its_last_line(tmp_path, monkeypatch):
    """The figures that it printed before are kept, and its exit status is passed on."""
    program = "from figures import *; publish([Figure('a', 1.0, 's')], as_json=True); raise SystemExit('no broker')"
    (tmp_path / "broken.py").write_text(f"import sys; sys.path.insert(0, {str(report.BENCHMARKS)!r}); {program}")
    monkeypatch.setattr(report, "BENCHMARKS", tmp_path)
    results, status = report.run(report.Benchmark("broken"))
    assert results == [Figure("a", 1.0, "s"), Skipped("broken", "failed: no broker")]
    assert status == 1


@pytest.mark.parametrize("listed", report.SUITE, ids=lambda each: each.name)
def test_each_benchmark_of_the_report_prints_figures(listed):
    """Each file of the suite exists and has the parser with --json."""
    text = (report.BENCHMARKS / f"{listed.name}.py").read_text(encoding="utf-8")
    assert "make_parser(__doc__)" in text
    assert "publish(" in text
