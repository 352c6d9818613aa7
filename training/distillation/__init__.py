"""Distillation: a backbone trained on a teacher's embeddings, without labels."""
