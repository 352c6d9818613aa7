"""Sources of sound: each a context-managed iterable of blocks, whatever it reads from."""
