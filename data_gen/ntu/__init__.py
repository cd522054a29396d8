"""NTU RGB+D: its splits, its published preprocessing, its conversion."""
