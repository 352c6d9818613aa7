import logging

from device.util.log_throttle import LogThrottle


def test_a_warning_is_logged_once_an_hour(caplog):
    """A warning is repeated after an hour or after a reset; another warning is logged at once."""
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
