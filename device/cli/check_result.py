"""Result of one check of `earshot check`, and the errors that stand for a warning and for nothing to check."""

from dataclasses import dataclass
from typing import Literal

from device.errors import EXIT_DONE

CheckState = Literal["ok", "warning", "fault", "skipped"]


@dataclass(frozen=True)
class CheckResult:
    """Result of one check.

    Attributes:
        check: name of the check.
        state: "ok", "warning" (the daemon works, but worse than it could), "fault", or "skipped" (nothing to check).
        message: description for a person; of a warning or a fault, with its cure.
        exit_code: exit code of the command if no other result has a higher one.
    """

    check: str
    state: CheckState
    message: str
    exit_code: int = EXIT_DONE


class DegradedError(Exception):
    """Warning: the daemon works, but worse than it could. The message has the reason and the cure."""


class NothingToCheckError(Exception):
    """Check that cannot be made. The message has the reason."""
