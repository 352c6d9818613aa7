"""The trained network: features, bundle, classifier, scoring."""
