"""The engine: configuration, training, evaluation, checkpoints, scores and reports."""
