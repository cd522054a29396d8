"""Which process of a run this is, and how one ends at once; without torch. `distributed` has what they exchange."""

from __future__ import annotations

import os
import shutil
import sys
from multiprocessing import active_children, util
from typing import NoReturn


def started() -> bool:
    """Whether torchrun, or a launcher like it, started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def rank() -> int:
    """The number of this process in the run, from 0."""
    return int(os.environ["RANK"]) if started() else 0


def leave(status: int) -> NoReturn:
    """Ends this process at once, with its workers; what Python does at its end might wait for other processes."""
    for worker in active_children():
        worker.kill()
    shutil.rmtree(util.get_temp_dir(), ignore_errors=True)  # of sockets that hand over batches
    sys.stdout.flush()
    os._exit(status)
