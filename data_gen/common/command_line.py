"""The command line of all scripts: options in both spellings, paths as in a shell, errors in one line, a report."""

from __future__ import annotations

import argparse
import inspect
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
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass
class Report:
    """What a run did."""

    written: dict[Path, tuple[int, ...]] = field(default_factory=dict)  # the files written, with their shapes
    skipped: list[str] = field(default_factory=list)  # the inputs that were skipped, with the reason
    notes: list[str] = field(default_factory=list)  # further sentences
    strict: bool = False  # the first input that cannot be used ends the run, instead of being skipped

    def skip(self, problem: str) -> None:
        """Add an input that cannot be used.

        Raises:
            ValueError: `strict` is set, so that the first such input ends the run.
        """
        if self.strict:
            raise ValueError(problem)
        self.skipped.append(problem)

    def failure(self, message: str) -> ValueError:
        """The error of a run that cannot use any input: `message`, and the last problem as an example."""
        return ValueError(f"{message}; the last problem is {self.skipped[-1]}" if self.skipped else message)

    def __str__(self) -> str:
        lines = [f"wrote {path}  {shape}" for path, shape in self.written.items()]
        if self.skipped:
            lines += [f"skipped {len(self.skipped)}:", *(f"  {problem}" for problem in self.skipped)]
        return "\n".join([*lines, *self.notes])


def expand(path: str) -> str:
    """`path` with `~`, `~user`, `$NAME` and `${NAME}` replaced, as a shell replaces them.

    Raises:
        ValueError: a variable or a home folder is unknown; nobody wants a folder that is called `$SCRATCH`.
    """
    variable = re.compile(r"\$(\w+|\{[^{}]*\})")
    for name in (match[1].strip("{}") for match in variable.finditer(path)):
        if not os.environ.get(name):
            raise ValueError(f"{path!r}: the environment variable {name} is not set; set it, or write the path out")
    expanded = variable.sub(lambda match: os.environ[match[1].strip("{}")], path)
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
    """Inside, characters that the terminal cannot show are printed as escapes (`\\u4e2d`) and raise no error."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    before = [(stream, stream.errors) for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        with suppress(OSError, ValueError):  # a stream was closed meanwhile
            for stream, errors in before:
                stream.reconfigure(errors=errors)


class _Formatter(argparse.HelpFormatter):
    """Keeps the lines of texts apart where argparse joins them, and addresses and file names in one piece."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Paragraphs, items of lists (`- `) and rows of tables (`word   meaning`, or indented) begin a line."""
        pieces = re.split(r"(\n\s*\n|\n(?=- | {4}|\S+ {3,}))", text)
        return "".join(
            piece if i % 2 or re.match(r" {4}|\S+ {3,}", piece) else "\n".join(self._split_lines(piece, width))
            for i, piece in enumerate(pieces)
        )

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False, break_long_words=False)


class Parser(argparse.ArgumentParser):
    """An argument parser that takes options with hyphens or underscores, and expands paths."""

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
    """The number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def main_of(function: Callable[..., Report], description: str | None) -> Callable[[Sequence[str] | None], Report]:
    """The `main` of a script: it parses the command line into the arguments of `function`, and calls it.

    Names, types and defaults of the options are those of the signature, and their help is the docstring's `Args:`;
    `num_worker` is the number of cores unless it is given. What a `partial` binds is no option.
    """
    origin, bound = getattr(function, "func", function), getattr(function, "keywords", {})
    about = dict(re.findall(r"^    (\w+): (.+(?:\n {6}.+)*)\.$", inspect.getdoc(origin) or "", re.MULTILINE))
    hints = get_type_hints(origin)

    def main(argv: Sequence[str] | None = None) -> Report:
        parser = Parser(description=description)
        for name, parameter in inspect.signature(origin).parameters.items():
            if name in bound:
                continue
            kinds = (hints[name], *get_args(hints[name]))
            default = default_workers() if name == "num_worker" else parameter.default
            settings: dict[str, Any] = {"help": about.get(name)}
            if bool in kinds:
                settings["action"] = "store_true"
            else:
                settings["type"] = next((kind for kind in (int, float, Path) if kind in kinds), str)
                if get_origin(hints[name]) is Literal:
                    settings["choices"] = get_args(hints[name])
                if default is parameter.empty:
                    settings["required"] = True
                elif default is not None:
                    settings |= {"default": default, "help": f"{about.get(name, '')} (default: %(default)s)"}
            parser.option(name, **settings)
        return function(**vars(parser.parse_args(argv)))

    return main


def run(main: Callable[[Sequence[str] | None], Report]) -> None:
    """Run a script's `main` and write its report; an error becomes one line and exit code 1."""
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
    """Inside, SIGTERM raises an exception, so that files are cleaned up as after Ctrl-C."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
