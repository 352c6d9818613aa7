"""Bars of a terminal: how much of something there is."""

QUIETEST_DBFS = -96.0
"""Where the bar of a level begins: the step of a 16-bit sample."""


def bar(share: float, columns: int) -> str:
    """`[###---]`, with so many columns between the brackets; the share is cut to 0 to 1."""
    full = round(columns * min(max(share, 0.0), 1.0))
    return f"[{'#' * full}{'-' * (columns - full)}]"


def level_bar(level_dbfs: float, columns: int) -> str:
    """The same for a level, dB relative to full scale."""
    return bar(1 - level_dbfs / QUIETEST_DBFS, columns)
