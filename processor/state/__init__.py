"""What a run saves and loads: checkpoints and weights."""
