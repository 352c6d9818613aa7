"""Export: the bundle that the device runs."""
