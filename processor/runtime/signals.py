"""Signals that ask a run to stop: it stops at once, or notes the signal and saves first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from processor.runtime.processes import started

Handler = Any  # of a signal: a function of its number and frame, or SIG_DFL

STOP = tuple(  # a user, the system or Slurm sends them; Windows has two of them
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)


class StoppedError(BaseException):
    """A signal stopped the run; like KeyboardInterrupt this is no `Exception`, which code on the way might handle."""

    def __init__(self, number: signal.Signals, place: str = "") -> None:
        self.signal = number
        super().__init__(f"stopped by {number.name}" + (f" {place}; go on with --resume auto" if place else ""))


@contextmanager
def stop_at_once() -> Iterator[None]:
    """Raises `StoppedError` in the block on a signal to stop, so that the program ends as after any other error."""

    def stop(number: int, _: object) -> None:
        raise StoppedError(signal.Signals(number))

    with _handled_by(lambda _: stop):
        yield


@contextmanager
def stop_signals() -> Iterator[list[signal.Signals]]:
    """Collects the signals to stop that come in the block in a list, which it yields; a second one acts as usual.

    Not so under torchrun: it passes on signals that its processes may have had already, and kills those that do not
    end. Its signal may also mean that another process has ended; then no save is possible (`distributed`).
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

    with _handled_by(note):
        yield noted


@contextmanager
def _handled_by(handler_after: Callable[[Handler], Handler]) -> Iterator[None]:
    """Handles signals to stop in the block by `handler_after(earlier handler)`, unless they are ignored."""
    if threading.current_thread() is not threading.main_thread():  # other threads cannot handle signals
        yield
        return
    handlers = {number: signal.getsignal(number) for number in STOP}
    earlier = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
    for number, handler in earlier.items():
        signal.signal(number, handler_after(handler))
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
