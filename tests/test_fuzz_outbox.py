"""Fuzz tests of the outbox: failing disks and damaged files. A number is never issued twice, and no daemon ends."""

import contextlib
import shutil
import sqlite3

import failing_sqlite
import pytest
from failing_sqlite import CODES, Fault
from fuzz_strategies import damages
from hypothesis import given
from hypothesis import strategies as st

from device.errors import UnavailableError
from device.outbox.queue import Outbox
from device.util.clock import Stamp

CREATED = Stamp(1.0, 2.0)
FAULTS = st.builds(
    Fault, st.sampled_from(sorted(CODES.values())), st.integers(0, 12), st.sampled_from([1, 1, 2, 9]), st.booleans()
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "append", "send", "acknowledge", "retry", "restart"]), st.none() | FAULTS),
    max_size=12,
)


@pytest.fixture(autouse=True, scope="module")
def _failing_connections():
    with pytest.MonkeyPatch.context() as patch:
        failing_sqlite.install(patch)
        yield


class Sender:
    """Stand-in for the delivery: it sends and acknowledges messages, and keeps what it sent."""

    def __init__(self, path):
        self.path, self.outbox = path, Outbox(path).__enter__()
        self.appended, self.sent = 0, {}

    def append(self):
        """Append a message."""
        self.outbox.append({"number": self.appended}, CREATED)
        self.appended += 1

    def send(self):
        """Send all messages, and check their order; return their sequence numbers."""
        entries = self.outbox.entries_after(0, 1000)
        for entry in entries:
            assert self.sent.setdefault(entry.sequence, entry.message["number"]) == entry.message["number"]
        assert [entry.sequence for entry in entries] == sorted({entry.sequence for entry in entries})
        assert [entry.message["number"] for entry in entries] == sorted(entry.message["number"] for entry in entries)
        return [entry.sequence for entry in entries]

    def acknowledge(self):
        """Send all messages, and let the broker acknowledge two of them."""
        self.outbox.delete(self.send()[:2])

    def retry(self):
        """Retry the disk."""
        self.outbox.retry_disk()

    def restart(self, fault=None):
        """End the outbox on a disk that works, and open it on one that may fail."""
        self.outbox.__exit__()
        with failing_sqlite.fault(fault), contextlib.suppress(UnavailableError):
            self.outbox = Outbox(self.path).__enter__()
            return
        self.outbox = Outbox(self.path).__enter__()


@given(steps=STEPS)
def test_every_event_is_delivered_whatever_the_disk_does(memory_folder, steps):
    """For any errors at any statements, each event is delivered in order, under a number of its own."""
    path = memory_folder / "state" / "outbox.sqlite"
    sender = Sender(path)
    for step, fault in steps:
        if step == "restart":
            sender.restart(fault)
            continue
        with failing_sqlite.fault(fault):
            getattr(sender, step)()
    sender.retry()
    sender.send()
    assert sender.outbox.status().trouble == ""
    assert sender.outbox.status().dropped == 0
    assert sorted(sender.sent.values()) == list(range(sender.appended))
    sender.outbox.__exit__()
    assert not list(path.parent.glob("*damaged*"))
    shutil.rmtree(path.parent)


class State(dict):
    """Content of files, by name."""

    def __repr__(self):
        """Return the names only."""
        return f"State({', '.join(self)})"


def write_state(folder, kill):
    """Write the files of an outbox with delivered and waiting messages; return their content."""
    shutil.rmtree(folder, ignore_errors=True)
    with Outbox(folder / "outbox.sqlite") as outbox:
        for number in range(30):
            outbox.append({"number": number, "text": "x" * 40}, CREATED)
        outbox.delete(range(1, 16))
        if kill:
            return State((file.name, file.read_bytes()) for file in folder.iterdir())
    return State((file.name, file.read_bytes()) for file in folder.iterdir())


@pytest.fixture(scope="module", params=[False, True], ids=["ended", "killed"])
def state(request, memory_folder):
    """Return the files of an outbox, of a daemon that ended or was killed."""
    return write_state(memory_folder / "state", request.param)


@given(data=st.data())
def test_any_damaged_state_file_is_survived(memory_folder, state, data):
    """With any damage of one file, the outbox opens, delivers, and issues no number twice."""
    damaged = data.draw(st.sampled_from(sorted(state)))
    content = state[damaged]
    flip = st.tuples(st.integers(0, len(content) - 1), st.integers(1, 255))
    kind = data.draw(st.sampled_from(["flip", "cut", "any"]))
    if kind == "flip":
        position, bits = data.draw(flip)
        content = content[:position] + bytes([content[position] ^ bits]) + content[position + 1 :]
    elif kind == "cut":
        content = content[: data.draw(st.integers(0, len(content)))]
    else:
        content = data.draw(damages(content))
    place = memory_folder / "damaged"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for name, intact in state.items():
        (place / name).write_bytes(content if name == damaged else intact)
    issued = []
    for _ in range(2):
        with Outbox(place / "outbox.sqlite") as outbox:
            issued += [outbox.append({"number": 100}, CREATED).sequence for _ in range(2)]
            waiting = outbox.entries_after(0, 1000)
            assert [entry.sequence for entry in waiting if entry.message["number"] == 100] == issued
            for entry in waiting:
                assert entry.sequence == entry.message["sequence"]
                assert entry.message == {"number": 100, "sequence": entry.sequence} or (
                    entry.message == {"number": entry.sequence - 1, "text": "x" * 40, "sequence": entry.sequence}
                )
            assert outbox.status().trouble == ""
            outbox.refresh_status()
            assert len(outbox) == len(waiting)
    assert min(issued) > 30
    assert issued == sorted(set(issued))
    with contextlib.closing(sqlite3.connect(place / "outbox.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
