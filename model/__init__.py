"""Models: one file a family, `published` for foreign checkpoints, `layers` for what they are built of."""
