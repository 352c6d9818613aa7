"""Clips: recordings of events kept for correction, and the speech filter."""
