"""Trained network: features, bundle with manifest and self-test, classifier, scoring."""
