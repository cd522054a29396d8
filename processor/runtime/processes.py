"""Which process of a run this is, told without torch; `distributed` has what the processes exchange."""

from __future__ import annotations

import os


def started() -> bool:
    """Whether torchrun, or a launcher like it, started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def rank() -> int:
    """The number of this process in the run, from 0."""
    return int(os.environ["RANK"]) if started() else 0
