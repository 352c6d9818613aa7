"""Helpers without domain knowledge: clock, JSON store, text, log throttle, token bucket, native stderr."""
