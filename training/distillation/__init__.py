"""Distillation: a teacher's embeddings taught to the backbone, without labels."""
