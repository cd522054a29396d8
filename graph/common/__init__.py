"""What all rooms share: words of messages, atomic files, bounded YAML, options that check themselves."""
