"""What each part of `benchmarks/gpu.py` gets, and how it guards its figures from each other."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


class SkippedError(Exception):
    """There is no time left for this figure."""


@dataclass
class Setting:
    """What a part gets: where it computes, how large, until when, and where its figures go."""

    device: str
    rehearse: bool
    until: float  # of time.monotonic()
    record: Callable[[str, Any], None]

    def left(self) -> float:
        """Seconds that the part may still take."""
        return self.until - time.monotonic()

    @contextmanager
    def guarded(self, name: str) -> Iterator[None]:
        """What fails inside is a figure, too, with its traceback; `need` ends the block where time has run out.

        The first statement of a block is `need`, for a block cannot be left out from here.
        """
        try:
            yield
        except SkippedError:
            self.record(name, "skipped: no time left")
        except Exception:
            self.record(name, {"failed": traceback.format_exc()})

    def need(self, seconds: float) -> None:
        """Raises SkippedError unless so many seconds are left."""
        if self.left() < seconds:
            raise SkippedError
