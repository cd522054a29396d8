"""Signals that ask a run to stop: at once, or noted so that it saves first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from processor.runtime.processes import started

Handler = Any  # of a signal: a function of its number and frame, or SIG_DFL

STOP = tuple(  # what asks a run to stop: a user, the system, Slurm; Windows has two of them
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)


class StoppedError(BaseException):
    """A run that was asked to stop; like KeyboardInterrupt no error, which something on the way might handle.

    Attributes:
        signal: by which it was asked.
    """

    def __init__(self, number: signal.Signals, place: str = "") -> None:
        self.signal = number
        super().__init__(f"stopped by {number.name}" + (f" {place}; go on with --resume auto" if place else ""))


@contextmanager
def stop_at_once() -> Iterator[None]:
    """Signals that ask the program to stop raise `StoppedError` inside, so that it ends as after any other error."""

    def stop(number: int, _: object) -> None:
        raise StoppedError(signal.Signals(number))

    with _handled_by(lambda _: stop, STOP):
        yield


@contextmanager
def stop_signals() -> Iterator[list[signal.Signals]]:
    """Signals that ask the run to stop are only noted, in the list that it gives; a second one has its usual effect.

    A launcher passes on what its processes may have had already, and kills those that do not end: under it there is no
    second one. What it sends because another process has ended cannot be followed by a save (`distributed`).
    """
    noted: list[signal.Signals] = []

    def note(earlier: Handler) -> Handler:
        def handler(number: int, _: object) -> None:
            noted.append(signal.Signals(number))
            if started():
                from processor.runtime.distributed import leave_unless_all_stop  # loaded already, with torch

                leave_unless_all_stop(number)
            else:
                signal.signal(number, earlier)

        return handler

    with _handled_by(note, STOP):
        yield noted


@contextmanager
def _handled_by(handler_after: Callable[[Handler], Handler], numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """`handler_after(earlier handler)` for these signals, as far as they are not ignored."""
    if threading.current_thread() is not threading.main_thread():  # others cannot handle signals
        yield
        return
    earlier = {
        number: handler for number in numbers if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number, handler in earlier.items():
        signal.signal(number, handler_after(handler))
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
