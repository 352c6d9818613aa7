"""The ways in which Earshot fails on purpose. Each says what is wrong, where, and the cure, in one line."""

EXIT_DONE = 0
EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h

_SHOWN = 100


class EarshotError(Exception):
    """Something that its user can put right. The message holds what, where and the cure; never a traceback."""

    exit_code = EXIT_BUG


class InputError(EarshotError):
    """An argument or a sound file that cannot be used."""

    exit_code = EXIT_USAGE


class ConfigError(EarshotError):
    """A config file or a bundle that must not be run with."""

    exit_code = EXIT_CONFIG


class UnavailableError(EarshotError):
    """Something outside is missing: a microphone, a broker, an optional package."""

    exit_code = EXIT_UNAVAILABLE


def shown(text: str) -> str:
    """What somebody else wrote, to be quoted in a line: on one line, and not too long, whatever it holds."""
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
