"""Fixtures that more than one test module uses."""

import os
import subprocess
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import settings
from support import Mosquitto, Peer, SoundServer
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

settings.register_profile("thorough", deadline=None, max_examples=10_000)
"""For `make fuzz`."""
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_xdist_make_scheduler(config, log):
    """Deal the tests to two processes (`make test`): the trainer's, and all others.

    The trainer's share networks that take minutes to train, which two processes would both do; most others wait for a
    microphone, a broker or a clock. xdist's own groups do nothing under pytest 9.2, and do not say so.
    """

    class TwoGroups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return "training" if nodeid.startswith("tests/training/") else "device"

    return TwoGroups(config, log)


def pytest_collection_modifyitems(items):
    """Refuse a test that does not say in a sentence what holds."""
    silent = [item.nodeid for item in items if not (item.function.__doc__ or "").strip().endswith(".")]
    if silent:
        raise pytest.UsageError(f"these tests have no sentence as docstring: {', '.join(silent)}")


@pytest.fixture(scope="session")
def shared():
    """The folder of recordings that the project is developed with; skips where it is not there."""
    if not (SHARED / "data" / "urbansound8k" / "audio").is_dir():
        pytest.skip("needs the recordings in ../shared, which are not part of the project")
    return SHARED


@pytest.fixture(scope="session")
def bundle_path():
    """The shipped bundle."""
    return ROOT / "models" / "urbansound8k"


@pytest.fixture(scope="session")
def street():
    """The demo's recording: a minute of a summer night with a dog, a horn, a gun shot and a jackhammer."""
    return ROOT / "deploy" / "demo" / "street.flac"


@pytest.fixture
def make_mosquitto(tmp_path):
    """Make a broker with lines of configuration; it is ended after the test."""
    made = []

    def make(extra=""):
        broker = Mosquitto(tmp_path, extra)
        made.append(broker)
        return broker

    yield make
    for broker in made:
        broker.close()


@pytest.fixture
def mosquitto(make_mosquitto):
    """A running broker that lets everyone in."""
    broker = make_mosquitto()
    broker.start()
    return broker


@pytest.fixture
def peer(mosquitto):
    """Another client of the broker, who hears everything."""
    with closing(Peer(mosquitto)) as peer:
        yield peer


@pytest.fixture
def sound_server(tmp_path):
    """A running sound server with one microphone."""
    folder = tmp_path / "sound"
    folder.mkdir()
    with closing(SoundServer(folder)) as server:
        yield server


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte that can be filled."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs root and the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def berlin(monkeypatch):
    """This process lives by Berlin's clock; gives the Unix time of a local date and time."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield lambda *local: datetime(*local).timestamp()
    monkeypatch.undo()
    time.tzset()
