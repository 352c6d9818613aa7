"""Training data: datasets, augmentation, spectrograms, ambience, cache."""
