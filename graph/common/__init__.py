"""What every room needs: plain words for messages, files written atomically, bounded YAML."""
