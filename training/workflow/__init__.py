"""Workflow: the steps of a training run, joined."""
