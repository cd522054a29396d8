"""Feeders: prepared arrays to samples, and the augmentations between."""
