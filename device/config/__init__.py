"""Configuration: frozen models, one a stage, and the loader that fills them."""
