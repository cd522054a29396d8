"""Work spread over processes: results come in order, and few of them wait in memory."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 8  # items that a process gets at once
_ITEMS_WORTH_A_PROCESS = 64  # starting a process takes about as long as this many files


def ordered_map(
    function: Callable[[Item], Result], items: Sequence[Item], *, num_worker: int = 1
) -> Generator[Result, None, None]:
    """`map(function, items)` over `num_worker` processes, this one among them; close it when leaving early.

    At most 32 results a worker wait in memory. Processes are spawned on every system: they import `function`, which
    must be a module's function (or a partial of one), and scripts need their `__main__` guard.
    """
    num_worker = min(num_worker, len(items) // _ITEMS_WORTH_A_PROCESS)
    if num_worker <= 1:
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(num_worker - 1, mp_context=get_context("spawn"), initializer=_prepare_worker)
    try:
        started = [pool.submit(abs, 0) for _ in range(num_worker - 1)]
        waiting: deque[Future[list[Result]]] = deque()
        for start in range(0, len(items), _CHUNK):
            chunk = items[start : start + _CHUNK]
            num_busy = sum(not future.done() for future in waiting)
            if any(future.done() for future in started) and num_busy < 2 * (num_worker - 1):
                waiting.append(pool.submit(_map, function, chunk))
            else:  # the workers have enough to do, or have not started yet: this process does the chunk
                waiting.append(Future())
                waiting[-1].set_result(_map(function, chunk))
            while waiting and (waiting[0].done() or len(waiting) >= 4 * num_worker):
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _map(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [function(item) for item in items]


def _prepare_worker() -> None:
    """Prepare a worker: it ignores Ctrl-C, which its parent handles, and exits when its parent was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    if parent := parent_process():
        parent.join()
    os._exit(1)
