"""Sound level: A and C weighting, LAeq, LAmax and percentiles, calibration, minutes on disk, noise diary."""
