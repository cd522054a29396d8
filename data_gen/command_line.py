"""What the scripts share: flags in both spellings, errors as one line, a report at the end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graph.words import write_line


@dataclass
class Report:
    """What a run did: files written with their shapes, inputs skipped with the reason, further notes."""

    written: dict[Path, tuple[int, ...]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def skip(self, problem: str, *, strict: bool) -> None:
        """Note an input that cannot be used.

        Raises:
            ValueError: `strict` is set, so the first one ends the run.
        """
        if strict:
            raise ValueError(problem)
        self.skipped.append(problem)

    def __str__(self) -> str:
        lines = [f"wrote {path}  {shape}" for path, shape in self.written.items()]
        if self.skipped:
            lines += [f"skipped {len(self.skipped)}:", *(f"  {problem}" for problem in self.skipped)]
        return "\n".join([*lines, *self.notes])


def first_kept(number: int) -> str:
    """Which of more frames or persons than there is room for an array has."""
    return f"the first {number} are kept" if number > 1 else "the first is kept"


class _Formatter(argparse.HelpFormatter):
    """Leaves addresses and file names whole, which argparse would break at their hyphens."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False, break_long_words=False)


class Parser(argparse.ArgumentParser):
    """An argument parser whose options may be written with hyphens or underscores."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=_Formatter, **settings)

    def option(self, name: str, **settings: Any) -> None:
        """Add `--name`; settings as `add_argument` takes them."""
        self.add_argument(*dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")), dest=name, **settings)

    def strict(self) -> None:
        """Add `--strict`."""
        self.option("strict", action="store_true", help="stop at the first input that cannot be used")


def default_workers() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(main: Callable[[Sequence[str] | None], Report]) -> None:
    """Run a script's `main`, write its report, and leave with the exit code."""
    with _terminate_as_exception():
        try:
            report = main(None)
        except (BrokenProcessPool, MemoryError):
            sys.exit("error: memory ran out, or something killed a worker; try a smaller --num_worker")
        except (OSError, ValueError) as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit(130)
    write_line(sys.stdout, f"{report}")


@contextmanager
def _terminate_as_exception() -> Iterator[None]:
    """Let a polite kill clean up as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
