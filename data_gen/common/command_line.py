"""What the scripts share: flags in both spellings, paths as in a shell, errors as one line, a report at the end."""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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


def expand(path: str) -> str:
    """`path` with `~`, `~user`, `$NAME` and `${NAME}` replaced, as a shell replaces them.

    Raises:
        ValueError: there is nothing to put in their place; a folder named `$SCRATCH` is nobody's wish.
    """
    variable = re.compile(r"\$(\w+|\{[^{}]*\})")
    for name in (found[1].strip("{}") for found in variable.finditer(path)):
        if not os.environ.get(name):
            raise ValueError(f"{path!r}: the environment variable {name} is not set; set it, or write the path out")
    expanded = variable.sub(lambda found: os.environ[found[1].strip("{}")], path)
    if variable.search(expanded):
        raise ValueError(f"{path!r} stands for {expanded!r}, which holds a variable again; write the path out")
    expanded = os.path.expanduser(expanded)
    if expanded.startswith("~"):
        raise ValueError(f"{path!r}: no home folder is known for it; write the path out (./~ for a name with ~)")
    if not expanded or "\0" in expanded:
        raise ValueError(f"{path!r} is no path")
    try:
        os.fsencode(expanded)
    except UnicodeEncodeError as error:
        raise ValueError(f"{path!r} is no path in this locale, whose encoding is {error.encoding}") from error
    return expanded


@contextmanager
def printing_anything() -> Iterator[None]:
    """Inside, characters that a terminal lacks are printed as escapes (`\\u4e2d`); they do not end the program."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    before = [(stream, stream.errors) for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        with suppress(OSError, ValueError):  # one that was closed meanwhile
            for stream, errors in before:
                stream.reconfigure(errors=errors)


def first_kept(number: int) -> str:
    """Which of more frames or persons than there is room for an array has."""
    return f"the first {number} are kept" if number > 1 else "the first is kept"


class _Formatter(argparse.HelpFormatter):
    """Leaves addresses and file names whole, which argparse would break at their hyphens."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False, break_long_words=False)


class Parser(argparse.ArgumentParser):
    """An argument parser whose options may be written with hyphens or underscores, and whose paths are expanded."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=_Formatter, **settings)
        self.register("type", Path, _path)

    def option(self, name: str, **settings: Any) -> None:
        """Add `--name`; settings as `add_argument` takes them."""
        self.add_argument(*dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")), dest=name, **settings)

    def strict(self) -> None:
        """Add `--strict`."""
        self.option("strict", action="store_true", help="stop at the first input that cannot be used")


def _path(text: str) -> Path:
    try:
        return Path(expand(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def default_workers() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(main: Callable[[Sequence[str] | None], Report]) -> None:
    """Run a script's `main`, write its report, and leave with the exit code."""
    with printing_anything():
        with _terminate_as_exception():
            try:
                report = main(None)
            except (BrokenProcessPool, MemoryError):
                sys.exit("error: memory ran out, or something killed a worker; try a smaller --num_worker")
            except (OSError, ValueError) as error:
                sys.exit(f"error: {error}")
            except KeyboardInterrupt:
                sys.exit(130)
        sys.stdout.write(f"{report}\n")


@contextmanager
def _terminate_as_exception() -> Iterator[None]:
    """Let a polite kill clean up as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
