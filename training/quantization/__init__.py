"""Quantization: float networks to int8 TFLite, and the error that int8 adds to features."""
