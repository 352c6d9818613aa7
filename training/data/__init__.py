"""Training data: datasets, augmentation, spectrograms, ambience, mixtures, cache."""
