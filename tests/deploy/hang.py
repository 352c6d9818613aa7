"""Daemon with one part that hangs on SIGUSR1, run as the service by boot.sh: hang.py PART ARGUMENTS..."""

import signal
import sys
import threading

from device.cli.main import main
from device.detection.gate import SoundGate
from device.model.classifier import Network
from device.outbox.queue import Outbox

PARTS = {"gate": (SoundGate, "update"), "network": (Network, "outputs"), "outbox": (Outbox, "refresh_status")}


def wait_for_ever():
    """Hang; boot.sh searches the journal for this name after the watchdog has ended the daemon."""
    threading.Event().wait()


part, *arguments = sys.argv[1:]
owner, name = PARTS[part]
works = getattr(owner, name)
hangs = threading.Event()


def works_until_signal(*given):
    """Call the original method; hang once the signal was received."""
    if hangs.is_set():
        wait_for_ever()
    return works(*given)


setattr(owner, name, works_until_signal)
signal.signal(signal.SIGUSR1, lambda *_: hangs.set())
sys.exit(main(arguments))
