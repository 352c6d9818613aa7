"""Keras models: backbones, head, checkpoint, TensorFlow import."""
