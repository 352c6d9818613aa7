"""Units: the megabyte of all settings, limits and figures."""

MEGABYTE = 1_000_000
"""Bytes in a megabyte, MB."""
