"""Fixtures shared by test modules, and the collection of tests."""

import os
import subprocess
import tempfile
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from format_1 import write_format_1
from hypothesis import settings
from support import Mosquitto, Peer, SoundServer
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
TRAINER = "tests/training/"

settings.register_profile("thorough", deadline=None, max_examples=10_000)
"""For `make fuzz`."""
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_xdist_make_scheduler(config, log):
    """Distribute the tests to processes (`make test`): those of the trainer to one, others by module to any.

    The tests of the trainer share networks that take a minute to train, and TensorFlow; in two processes each would be
    made twice. xdist's own groups have no effect under pytest 9.2, without a warning.
    """

    class Modules(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return TRAINER if nodeid.startswith(TRAINER) else super()._split_scope(nodeid)

    config.option.loadscopereorder = False  # keep the order of `pytest_collection_modifyitems`
    return Modules(config, log)


def pytest_collection_modifyitems(items):
    """Order the tests by duration, and refuse those without a sentence as docstring.

    The trainer and modules with the marker `slow` come first, so that no process waits for them at the end.
    """
    undocumented = [item.nodeid for item in items if not (item.function.__doc__ or "").strip().endswith(".")]
    if undocumented:
        raise pytest.UsageError(f"these tests have no sentence as docstring: {', '.join(undocumented)}")
    items.sort(key=lambda item: (not item.nodeid.startswith(TRAINER), item.get_closest_marker("slow") is None))


@pytest.fixture(scope="session")
def shared():
    """Return the folder of recordings for development; skip the test if it does not exist."""
    if not (SHARED / "data" / "urbansound8k" / "audio").is_dir():
        pytest.skip("needs the recordings in ../shared, which are not part of the project")
    return SHARED


@pytest.fixture(scope="session")
def bundle_path():
    """Return the folder of the shipped bundle."""
    return ROOT / "models" / "urbansound8k"


@pytest.fixture(scope="session")
def format_1_path(bundle_path, tmp_path_factory):
    """Return a bundle of format 1: the Inception network of the shipped bundle alone."""
    return write_format_1(bundle_path, tmp_path_factory.mktemp("bundles") / "format_1")


@pytest.fixture(scope="session")
def light_bundle_path():
    """Return the shipped bundle of the AudioSet network alone."""
    return ROOT / "models" / "urbansound8k-light"


@pytest.fixture(scope="session")
def demo_recording():
    """Return the demo's recording: one minute of a summer night with a dog, a car horn, a gun shot and a jackhammer."""
    return ROOT / "deploy" / "demo" / "street.flac"


@pytest.fixture
def make_mosquitto(tmp_path):
    """Return a function that makes a broker with lines of configuration; brokers are closed after the test."""
    brokers = []

    def make(extra=""):
        broker = Mosquitto(tmp_path, extra)
        brokers.append(broker)
        return broker

    yield make
    for broker in brokers:
        broker.close()


@pytest.fixture
def mosquitto(make_mosquitto):
    """Start a broker without access control."""
    broker = make_mosquitto()
    broker.start()
    return broker


@pytest.fixture
def peer(mosquitto):
    """Connect a client that receives all messages of the broker."""
    with closing(Peer(mosquitto)) as peer:
        yield peer


@pytest.fixture
def sound_server(tmp_path):
    """Start a sound server with one microphone."""
    folder = tmp_path / "sound"
    folder.mkdir()
    with closing(SoundServer(folder)) as server:
        yield server


@pytest.fixture(scope="module")
def memory_folder():
    """Make a folder in memory where there is one, because a disk syncs each write."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture
def make_disk(tmp_path):
    """Return a function that mounts a file system of some megabytes."""
    folders = []

    def make(megabytes):
        folder = tmp_path / f"disk{len(folders)}"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("needs root and the right to mount a tmpfs")
        folders.append(folder)
        return folder

    yield make
    for folder in folders:
        subprocess.run(["umount", "--lazy", folder], check=True)  # a failed test leaves files open


@pytest.fixture
def small_disk(make_disk):
    """Mount a file system of one megabyte."""
    return make_disk(1)


@pytest.fixture
def berlin_time(monkeypatch):
    """Set the time zone to Berlin; return a function from a local date and time to Unix seconds."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield lambda *local: datetime(*local).timestamp()
    monkeypatch.undo()
    time.tzset()
