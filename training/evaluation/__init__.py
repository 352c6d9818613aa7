"""Evaluation: metrics, scenes, the device's pipeline, reports, model card, curves."""
