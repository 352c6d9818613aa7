"""Teaching: labels learned on the device from a few clips, on the AudioSet network's embedding."""
