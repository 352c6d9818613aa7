"""Quantization: float networks to int8 TFLite, and what rounding adds."""
