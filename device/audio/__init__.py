"""Audio input: sources, capture process, resampling, ring buffer, signal diagnosis."""
