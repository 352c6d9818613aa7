"""The daemon, of which one part hangs on SIGUSR1; boot.sh runs it as the service: hang.py PART ARGUMENTS..."""

import signal
import sys
import threading

from device.cli.main import main
from device.detection.gate import SoundGate
from device.model.classifier import Classifier
from device.outbox.queue import Outbox

PARTS = {"gate": (SoundGate, "update"), "network": (Classifier, "__call__"), "outbox": (Outbox, "refresh_status")}


def wait_for_ever():
    """Named so in the journal when the watchdog ends it."""
    threading.Event().wait()


part, *arguments = sys.argv[1:]
owner, name = PARTS[part]
works = getattr(owner, name)
hangs = threading.Event()


def works_until_told(*given):
    """Do what the part does, until the signal has come."""
    if hangs.is_set():
        wait_for_ever()
    return works(*given)


setattr(owner, name, works_until_told)
signal.signal(signal.SIGUSR1, lambda *_: hangs.set())
sys.exit(main(arguments))
