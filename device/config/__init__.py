"""Configuration: frozen models, one for each section, their loader, and their JSON Schema."""
