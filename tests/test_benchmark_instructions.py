"""Tests of the instruction counts: what moved, what is recorded, reasons for their absence, and emulated cores."""

import json
import sys

import instructions
import pytest
from counter import Counter
from emulation import CORES, describe
from figures import Figure, Skipped

VERSIONS = {"processor": "Some Processor", "python": "3.11.2", "runtime": "ai-edge-litert 2.3.0", "numpy": "2.4.6"}
COUNTED = {**VERSIONS, "date": "2026-11-29", "counts": {"a quiet second": 11_000_000}}
PROGRAM = """
import json, sys
number, marks = int(sys.argv[1]), "--marks" in sys.argv
versions = dict.fromkeys(("processor", "python", "runtime", "numpy"), "1")
print(json.dumps({"works": ["quiet", "window"], "versions": versions}))
count = 1000
for work, cost in (("quiet", 5), ("window", 70)):
    if marks:
        print(f"instructions: {count}", file=sys.stderr)
    if marks or work in sys.argv:
        count += number * cost
for _ in range(2 if marks else 1):  # the last mark, and the end
    print(f"instructions: {count}", file=sys.stderr)
"""
"""Program that reports counts as a counter would: 1000 of its own, 5 a quiet second, 70 a window."""


def counter_of(*command, **fields):
    """Return a counter that runs the program as it is."""
    return Counter("fake", command, r"instructions: (\d+)", 10, **fields)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Let instructions.py count a program that reports its own counts, and no start of the daemon."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    monkeypatch.setattr(instructions, "PROGRAM", path)
    monkeypatch.setattr(instructions, "count_start", lambda _counter, _state: 2_000_000)
    return path


def test_what_moved_is_the_ratio_to_the_recorded_count():
    """A count has the recorded one as its peer, in millions, with the day of the record."""
    recorded = {**COUNTED, "date": "2026-11-28", "counts": {"a quiet second": 10_000_000}}
    (figure,) = instructions.compare("perf", COUNTED, recorded)
    assert figure.ratio == pytest.approx(1.1)
    assert figure.is_change
    assert figure.peer_name == "recorded 2026-11-28"


def test_a_record_of_other_versions_says_which():
    """A count that moved with a library names the version of the recorded one."""
    recorded = {**COUNTED, "numpy": "1.26.4", "processor": "Other Processor"}
    (figure,) = instructions.compare("perf", COUNTED, recorded)
    assert figure.peer_name == "recorded 2026-11-29, processor Other Processor, numpy 1.26.4"


def test_a_count_without_a_record_has_no_peer():
    """The first count of a machine is a figure without a ratio."""
    (figure,) = instructions.compare("perf", COUNTED, {})
    assert (figure.ours, figure.ratio, figure.is_change) == (11.0, None, False)


def test_a_recorded_count_that_is_not_counted_has_a_reason():
    """YAMNet's count is not silently dropped on a machine without its file."""
    recorded = {**COUNTED, "counts": {"a quiet second": 11_000_000, "YAMNet": 25_000_000}}
    _, skipped = instructions.compare("perf", COUNTED, recorded)
    assert isinstance(skipped, Skipped)
    assert "YAMNet" in skipped.name


@pytest.mark.parametrize("has_marks", [False, True])
def test_each_kind_of_work_is_counted_without_the_preparation(program, has_marks):
    """Differences of runs, and marks within one run, give the instructions of one repetition."""
    counted = instructions.count_all(counter_of("env", has_marks=has_marks))
    assert counted["counts"] == {"quiet": 5, "window": 70, instructions.START: 2_000_000}
    assert counted["numpy"] == "1"


def test_counts_are_recorded_only_when_asked(program, tmp_path):
    """A record replaces the counts of its counter, and keeps those of others."""
    path = tmp_path / "instructions.json"
    path.write_text(json.dumps({"qemu cortex-a72": COUNTED}))
    for _ in instructions.results([counter_of("env")], record=False, path=path):
        pass
    assert json.loads(path.read_text()) == {"qemu cortex-a72": COUNTED}
    for _ in instructions.results([counter_of("env")], record=True, path=path):
        pass
    record = json.loads(path.read_text())
    assert record["qemu cortex-a72"] == COUNTED
    assert record["fake"]["counts"]["window"] == 70
    again = list(instructions.results([counter_of("env")], record=False, path=path))
    assert all(isinstance(figure, Figure) and figure.ratio == 1.0 for figure in again)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("no-such-counter",), "no-such-counter is not installed"),
        (("sh", "-c", "exit 3"), "exit status 3"),
        (("sh", "-c", "echo not supported >&2"), "fake counts no instructions here: not supported"),
    ],
)
def test_a_machine_that_cannot_count_has_a_reason(command, reason):
    """Without the counter, or without a processor's counter as in many virtual machines, the row says why."""
    (skipped,) = instructions.results([counter_of(*command)], record=True)
    assert isinstance(skipped, Skipped)
    assert reason in skipped.reason


def test_the_start_of_the_daemon_is_counted_to_its_end(tmp_path):
    """The counted command is a whole run of the daemon on a moment of silence, which ends by itself."""
    (tmp_path / "first").mkdir()
    log = tmp_path / "arguments"
    wrapper = tmp_path / "wrapper.py"
    wrapper.write_text(
        "import subprocess, sys\n"
        f"open({str(log)!r}, 'a').write(' '.join(sys.argv[2:]) + '\\n')\n"
        "print('instructions: 7', file=sys.stderr)\n"
        "raise SystemExit(subprocess.run(sys.argv[1:]).returncode)\n"
    )
    assert instructions.count_start(counter_of(sys.executable, str(wrapper)), tmp_path / "first") == 7
    assert all("run --quiet" in line and "--exit-at-end" in line for line in log.read_text().splitlines())
    assert (tmp_path / "first" / "outbox.sqlite").exists()


@pytest.mark.parametrize(("core", "part"), [("cortex-a53", "0xd03"), ("cortex-a72", "0xd08"), ("cortex-a76", "0xd0b")])
def test_an_emulated_core_is_described_as_linux_describes_it(tmp_path, core, part):
    """The runtime chooses its kernels by the number of the core and by its extensions."""
    describe(CORES[core], tmp_path)
    text = (tmp_path / "proc" / "cpuinfo").read_text()
    assert text.count(f"CPU part\t: {part}\n") == 4
    assert ("asimddp" in text) == (core == "cortex-a76")  # dot products of 8-bit integers
    assert (tmp_path / "sys" / "devices" / "system" / "cpu" / "possible").read_text() == "0-3\n"
