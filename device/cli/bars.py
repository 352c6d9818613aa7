"""Bars for the terminal: shares and levels as text."""

MINIMUM_DBFS = -96.0
"""Level of an empty bar: the quantization step of 16-bit samples, dB relative to full scale."""


def bar(share: float, columns: int) -> str:
    """Draw a share as `[###---]`.

    Args:
        share: clipped to 0 to 1.
        columns: characters between the brackets.
    """
    full = round(columns * min(max(share, 0.0), 1.0))
    return f"[{'#' * full}{'-' * (columns - full)}]"


def level_bar(level_dbfs: float, columns: int) -> str:
    """Draw a level, dB relative to full scale; the bar is empty at MINIMUM_DBFS and full at 0."""
    return bar(1 - level_dbfs / MINIMUM_DBFS, columns)
