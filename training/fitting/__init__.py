"""Fitting: backbone features, discriminant analysis, calibration, thresholds, fine-tuning."""
