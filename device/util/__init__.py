"""Helpers without domain knowledge: clock, JSON store, text, log throttle, native stderr."""
