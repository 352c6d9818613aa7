"""Evaluation: metrics, scenes, the device's pipeline, report, model card."""
