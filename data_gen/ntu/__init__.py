"""What only NTU RGB+D needs: its splits, its published preprocessing, its conversion."""
