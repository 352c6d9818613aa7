"""Fitting: backbone features, linear discriminant analysis, calibration, thresholds, fine-tuning."""
