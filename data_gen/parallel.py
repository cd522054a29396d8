"""Work spread over processes, its results in order and never many of them at once."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_ITEMS_WORTH_A_PROCESS = 32  # starting one takes about as long as this many files


def ordered_map(
    function: Callable[[Item], Result], items: Sequence[Item], *, num_worker: int = 1
) -> Generator[Result, None, None]:
    """`map(function, items)` over `num_worker` processes; close the iterator when leaving it early.

    At most four results a worker wait at a time, however slow the reader. Processes are spawned, as on every
    system: `function` must be a module's (or a partial of one), and scripts need their `__main__` guard.
    """
    num_worker = min(num_worker, len(items) // _ITEMS_WORTH_A_PROCESS)
    if num_worker <= 1:
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(num_worker, mp_context=get_context("spawn"), initializer=_ignore_interrupt)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 4 * num_worker:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupt() -> None:
    """Ctrl-C reaches every process of a terminal; only the parent is to answer it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
