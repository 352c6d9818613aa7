"""Damaged file: a small file of state is renamed, so that the daemon starts without it and can write a new one."""

import logging
from pathlib import Path

_LOGGER = logging.getLogger(__name__)


def rename_damaged(path: Path, consequence: str) -> None:
    """Rename a damaged file to `.damaged`, with a warning. If it cannot be renamed, another warning is logged.

    Args:
        path: the file.
        consequence: end of the warning, with the cure, as in " and defaults apply. Set its values again".
    """
    damaged = path.with_suffix(".damaged")
    _LOGGER.warning("%s: damaged, so it is renamed to %s%s", path, damaged.name, consequence)
    try:
        path.replace(damaged)
    except OSError as error:
        _LOGGER.warning("%s: cannot be renamed (%s). Delete it, or check the disk", path, error.strerror)
