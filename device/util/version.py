"""Version of the installed package."""

from functools import cache
from importlib.metadata import version


@cache
def earshot_version() -> str:
    """Return the version of Earshot. The first call searches the installed packages, which takes some milliseconds."""
    return version("earshot")
