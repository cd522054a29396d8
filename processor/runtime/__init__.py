"""What a process is: its device, its process group, its signals, its terminal, and how it fails."""
