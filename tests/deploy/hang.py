"""Daemon with a part that hangs from SIGUSR1 on: hang.py PART ARGUMENTS...; boot.sh runs it as the service."""

import signal
import sys
import threading

from device.cli.main import main
from device.detection.gate import SoundGate
from device.model.classifier import Network
from device.outbox.queue import Outbox

PARTS = {"gate": (SoundGate, "update"), "network": (Network, "outputs"), "outbox": (Outbox, "refresh_status")}


def wait_for_ever():
    """Block this thread. boot.sh searches the journal for this name in the stack."""
    threading.Event().wait()


part, *arguments = sys.argv[1:]
owner, name = PARTS[part]
original = getattr(owner, name)
hanging = threading.Event()


def hang_after_signal(*parameters):
    """Call the part's method; hang after the signal."""
    if hanging.is_set():
        wait_for_ever()
    return original(*parameters)


setattr(owner, name, hang_after_signal)
signal.signal(signal.SIGUSR1, lambda *_: hanging.set())
sys.exit(main(arguments))
