from types import SimpleNamespace

from device.service.observers import LongReads, Observers


def test_reads_are_long_while_no_window_is_due():
    """The microphone delivers two reads at a time until a window is due sooner; then each read arrives at once."""
    quiet = []
    observers = Observers(LongReads(SimpleNamespace(set_quiet=quiet.append)))
    for seconds in (1e9, 1.0, 0.25, 0.24, 0.1, 0.0, 0.5):
        observers.on_pause(seconds)
    assert quiet == [True, True, True, False, False, False, True]
