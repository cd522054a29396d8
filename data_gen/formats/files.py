"""What readers share: bounded sizes, a file's content in the form that its reader needs, lines of numbers.

An error's message is the rest of a sentence that names the file.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from graph.tools import Skeleton

MAX_MB = 512  # four hours of 25 joints in 3-D, 430,000 frames, have about as much in CSV
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # what Excel calls Unicode text, and PowerShell writes
_DECODER, _WORD = json.JSONDecoder(), re.compile(r"\S")
_POSITION = re.compile(r'"(position|pos)"\s*:', re.IGNORECASE)
MAX_NUMBERS = 1 << 27  # of a recording, 1 GB; an hour of five persons with 133 joints has half as many


def check_size(path: Path, max_mb: int) -> None:
    """Check a file before memory is taken for it.

    Raises:
        ValueError: the path is no regular file, or the file is larger than `max_mb`.
    """
    if not path.is_file():
        raise ValueError("it is no regular file")
    if (size := path.stat().st_size) > max_mb << 20:
        raise ValueError(f"it has {size / 2**20:,.0f} MB, at most {max_mb:,} MB are read; cut it into shorter files")


def read_json(path: Path, max_mb: int) -> Any:
    """What a JSON file holds; of a file with several values, the list of them.

    Raises:
        ValueError: it is no JSON, or too large.
        OSError: it cannot be read.
    """
    check_size(path, max_mb)
    content = path.read_bytes()
    try:
        text = content.decode(json.detect_encoding(content), "surrogatepass")
        try:
            return _unpacked(json.loads(text, object_hook=_with_position if _POSITION.search(text) else None))
        except json.JSONDecodeError:
            with suppress(json.JSONDecodeError):
                if len(values := _each_of(text)) > 1:
                    return [_unpacked(value) for value in values]
            raise
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: no JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:  # no Unicode; a number of thousands of digits; lists in lists
        raise ValueError("no JSON that can be read") from error


def _with_position(joint: dict[str, Any]) -> dict[str, Any]:
    """A mapping with the x, y and z that it holds as `position`, a list or a mapping: PoseNet, Kinect."""
    key = next((key for key in joint if key.lower() in ("position", "pos")), None)
    place: Any = joint.get(key) if key else None
    if isinstance(place, list) and 2 <= len(place) <= 3 and all(isinstance(x, int | float) for x in place):
        place = dict(zip("xyz", place, strict=False))
    if not isinstance(place, dict) or not {"x", "y"} <= {name.lower() for name in place}:
        return joint
    return {name: value for name, value in joint.items() if name != key} | place


def _each_of(text: str) -> list[Any]:
    """The values that stand one after the other, as JSON Lines and programs that append to a file write them."""
    values, at = list[Any](), 0
    while begin := _WORD.search(text, at):
        value, at = _DECODER.raw_decode(text, begin.start())
        values.append(value)
    return values


def _unpacked(content: Any) -> Any:
    """JSON in a text, or in each text of a list, as what it holds; anything else as it is."""
    if isinstance(content, str) and content.lstrip()[:1] in ("[", "{"):
        return json.loads(content)
    are_texts = isinstance(content, list) and all(isinstance(item, str) for item in content)
    return [_unpacked(item) for item in content] if are_texts else content


def read_text(path: Path, what: str) -> str:
    """The content of a small text file in UTF-8, or with its mark in UTF-16; `what` it is, for messages.

    Raises:
        ValueError: it is too large, or no UTF-8; the message names the file.
    """
    if path.stat().st_size > MAX_MB << 20:
        raise ValueError(f"{path} has more than {MAX_MB} MB, too much for a {what}")
    content = path.read_bytes()
    try:
        return content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: this is not UTF-8; save it again as UTF-8") from error


def is_number(field: bytes | str) -> bool:
    """Whether a field is a number as Python writes it, without underscores."""
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in str(field)


def by_frame(bodies: np.ndarray, frames: np.ndarray, num_frame: int) -> np.ndarray:
    """Bodies (K, ...) of the frames (K,) as (T, M, ...), in their order within each frame; NaN where there is none."""
    order = np.argsort(frames, kind="stable")
    frames = frames[order].astype(int)
    rank = np.arange(len(frames)) - np.searchsorted(frames, frames)
    joints = missing((num_frame, int(rank.max(initial=0)) + 1, *bodies.shape[1:]))
    joints[frames, rank] = bodies[order]
    return joints


def missing(shape: tuple[int, ...]) -> np.ndarray:
    """An array of this shape in which every number is missing (NaN).

    Raises:
        ValueError: it would take more memory than any recording needs.
    """
    if math.prod(shape) > MAX_NUMBERS:
        raise ValueError(f"{shape[0]:,} frames of {shape[1]:,} persons are too many for one recording")
    return np.full(shape, np.nan)


def load(module: str) -> Any:
    """A module of a package that few need."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ValueError(f"reading it needs the package {package}; install it with pip install {package}") from error


def natural_key(name: str) -> list[tuple[int, str]]:
    """For sorting names so that `frame_10` follows `frame_9`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d{1,18})", name, flags=re.ASCII)]


@dataclass(frozen=True)
class Source:
    """A file or a folder to be read, and what the user knows of it."""

    path: Path
    skeleton: Skeleton | None = None  # the order of the joints
    channel: int | None = None  # C, where the file does not tell it
    max_mb: int = MAX_MB
    problems: list[str] | None = None  # gets what is wrong with single recordings of a file that holds many

    @property
    def name(self) -> str:
        return self.path.name

    def skip(self, problem: str) -> None:
        """Leaves out a recording of a file that holds many.

        Raises:
            ValueError: nobody collects problems.
        """
        if self.problems is None:
            raise ValueError(problem)
        self.problems.append(problem)

    @cached_property
    def head(self) -> bytes:
        """The first bytes of a file, of text in UTF-8; those of a folder, or of what is no regular file, are none."""
        if not self.path.is_file():
            return b""
        with self.path.open("rb") as file:
            head = file.read(4096)
        if head.startswith(_UTF_16):
            return head.decode("utf-16", "ignore").encode("utf-8", "ignore")
        return head.removeprefix(b"\xef\xbb\xbf")

    @cached_property
    def is_json(self) -> bool:
        return self.head.lstrip().removeprefix(b'"')[:1] in (b"[", b"{")

    @cached_property
    def json(self) -> Any:
        """The content of a JSON file; errors as `read_json`."""
        return read_json(self.path, self.max_mb)

    @cached_property
    def text(self) -> str:
        """The content of a text file; errors as `check_size`."""
        check_size(self.path, self.max_mb)
        content = self.path.read_bytes()
        if content.startswith(_UTF_16):
            return content.decode("utf-16", "replace")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return content.decode("latin-1")

    @cached_property
    def lines(self) -> list[str]:
        """The lines of a text file that are not blank."""
        return [line for line in self.text.splitlines() if line.strip()]

    @cached_property
    def members(self) -> list[Path]:
        """The files of a folder by their names, in natural order."""
        if not self.path.is_dir():
            return []
        files = (path for path in self.path.iterdir() if path.is_file() and not path.name.startswith("."))
        return sorted(files, key=lambda path: natural_key(path.name))
