"""Training and evaluation: data loading, models, optimiser, the loop, grids of runs."""
