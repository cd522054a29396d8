"""Checkpoints and weights: saved and loaded."""
