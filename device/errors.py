"""Errors for the user, with their exit codes. Each message is one line: what is wrong, where, and the cure."""

EXIT_DONE = 0
EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h


class EarshotError(Exception):
    """Base class for problems that the user can solve. The command line prints the message without a traceback."""

    exit_code = EXIT_BUG


class InputError(EarshotError):
    """Invalid argument or unreadable sound file."""

    exit_code = EXIT_USAGE


class ConfigError(EarshotError):
    """Invalid configuration or bundle."""

    exit_code = EXIT_CONFIG


class UnavailableError(EarshotError):
    """Missing external resource: a microphone, a broker, an optional package."""

    exit_code = EXIT_UNAVAILABLE
