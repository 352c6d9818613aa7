import logging

from device.util.log_throttle import LogThrottle


def test_the_same_is_said_once_an_hour(caplog):
    """A complaint is not repeated until an hour has passed, or all was well again; another one is said at once."""
    now = [0.0]
    log_throttle = LogThrottle(clock=lambda: now[0])
    with caplog.at_level(logging.WARNING):
        for now[0] in (0.0, 1.0, 3599.0, 3600.0, 3601.0):
            log_throttle.warning("no broker")
        log_throttle.warning("no disk")
        assert caplog.messages == ["no broker", "no broker", "no disk"]
        log_throttle.reset()
        log_throttle.warning("no disk")
    assert caplog.messages[3:] == ["no disk"]
