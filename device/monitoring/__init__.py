"""Monitoring: health, liveness, load shedding, system metrics."""
