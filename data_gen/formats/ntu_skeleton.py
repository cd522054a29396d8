"""Parser of NTU RGB+D's `.skeleton` text files (Kinect v2, 25 joints, metres).

The form, one item a line: the frame count; per frame the body count; per body 10 numbers about the body, the
joint count, then 12 numbers a joint, of which the first three are x, y, z.
Axis legend: M bodies, T frames, V joints, C coordinates. A body is its position within the frame's list.
"""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from graph.common.words import plural

NUM_JOINT = 25
_BODY_WIDTH, _JOINT_WIDTH = 10, 12
_BODY_LINES = 2 + NUM_JOINT
_NUMBER_CHARACTERS = b"0123456789.+-eEnNaAiIfF"  # NaN and inf are numbers too
_MAX_BYTES = 16 << 20  # the longest real recordings have 3 MB; anything like this is something else
_MAX_METRES = 1e6  # far beyond any room, far below what overflows when squared


class Recording(NamedTuple):
    """A parsed file: `bodies` (M, T, V, C) float64, zero where a body is absent, and its number of frames."""

    bodies: np.ndarray
    num_frame: int


class BrokenFileError(ValueError):
    """A raw file that is not of its form; the message names the file, the line and what is wrong there."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path.name}, line {line}: {problem}")


def read_skeleton(path: Path, *, max_body: int = 4, max_frame: int = 300) -> Recording:
    """Read the first `max_body` bodies of the first `max_frame` frames; the whole file is checked.

    Of a joint's numbers, x, y, z are read; the other nine have to be there, and to look like numbers.

    Returns:
        `bodies` (max_body, T, 25, 3) float64 in metres, T = min(frames of the file, max_frame).

    Raises:
        BrokenFileError: truncated or garbled.
        OSError: the file cannot be read.
    """
    if not path.is_file() and path.exists():
        raise BrokenFileError(path, 1, "it is no regular file")
    if path.stat().st_size > _MAX_BYTES:
        raise BrokenFileError(path, 1, f"no recording is larger than {_MAX_BYTES >> 20} MB")
    lines = _Lines(path.read_bytes())
    num_frame, frame, body, start = _walk(path, lines)
    xyz = _positions(path, lines, start)
    wrong = ~(np.abs(xyz) < _MAX_METRES).all(axis=1)  # NaN compares false, so it is wrong too
    if wrong.any():
        row, values = _joint_rows(start)[wrong.argmax()], xyz[wrong.argmax()].tolist()
        raise BrokenFileError(path, row + 1, f"x y z {values} is no position in metres")

    bodies = np.zeros((max_body, min(num_frame, max_frame), NUM_JOINT, 3))
    kept = (body < max_body) & (frame < max_frame)
    bodies[body[kept], frame[kept]] = xyz.reshape(-1, NUM_JOINT, 3)[kept]
    return Recording(bodies, num_frame)


class _Lines:
    """The lines of a text, without a list of them: it would take as long to make as their numbers to read."""

    def __init__(self, content: bytes) -> None:
        if b"\r" in content:
            content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._text = content if content.endswith(b"\n") else content + b"\n"
        ends = np.flatnonzero(np.frombuffer(self._text, np.uint8) == ord("\n")) + 1
        self._bounds = [0, *ends.tolist()]
        while len(self) and not self[len(self) - 1]:
            self._bounds.pop()

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, row: int) -> bytes:
        return self._text[self._bounds[row] : self._bounds[row + 1]].strip()

    def block(self, first: int, last: int) -> bytes:
        """The lines from `first` to `last`, the latter excluded, as they are."""
        return self._text[self._bounds[first] : self._bounds[last]]


def _walk(path: Path, lines: _Lines) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Follow the counts through the file: the frame count, and per body its frame, position and first row."""

    def count(row: int, what: str) -> int:
        if row >= len(lines):
            raise BrokenFileError(path, max(len(lines), 1), f"the file ends where {what} should follow")
        text = lines[row]
        if not text.isdigit() or len(text) > 9:
            raise BrokenFileError(path, row + 1, f"{what} expected, found {_excerpt(text)}")
        return int(text)

    num_frame = count(0, "the number of frames")
    found: list[tuple[int, int, int]] = []
    row = 1
    for frame in range(num_frame):
        where = f"of frame {frame + 1} of {num_frame}"
        num_body = count(row, f"the number of bodies {where}")
        row += 1
        for body in range(num_body):
            if (joints := count(row + 1, f"the joint count of body {body + 1} {where}")) != NUM_JOINT:
                raise BrokenFileError(path, row + 2, f"{NUM_JOINT} joints expected, found {joints}")
            found.append((frame, body, row))
            row += _BODY_LINES
            if row > len(lines):
                raise BrokenFileError(path, len(lines), f"the file ends within body {body + 1} {where}")
    if row < len(lines):
        raise BrokenFileError(path, row + 1, f"the file goes on after the last of its {plural(num_frame, 'frame')}")
    frame_body_row = np.array(found, dtype=np.int64).reshape(-1, 3).T
    return num_frame, frame_body_row[0], frame_body_row[1], frame_body_row[2]


def _joint_rows(start: np.ndarray) -> np.ndarray:
    """The rows of the joints of the bodies whose first rows are `start`."""
    return (start[:, None] + np.arange(2, _BODY_LINES)).ravel()


def _positions(path: Path, lines: _Lines, start: np.ndarray) -> np.ndarray:
    """x, y, z of all joints of the bodies whose first rows (0-based) are `start`: (len(start) * V, 3) float64."""
    bodies = b"".join([lines.block(row, row + 1) for row in start.tolist()])
    joints = b"".join([lines.block(row + 2, row + _BODY_LINES) for row in start.tolist()])
    if _is_table(bodies, _BODY_WIDTH) and _is_table(joints, _JOINT_WIDTH):
        # as in every genuine file: then three numbers a joint need converting, in half the time of all
        with suppress(ValueError):
            return np.loadtxt(BytesIO(joints), comments=None, delimiter=" ", usecols=(0, 1, 2), ndmin=2)
    _numbers(path, lines, start, _BODY_WIDTH)
    return _numbers(path, lines, _joint_rows(start), _JOINT_WIDTH)[:, :3]


def _is_table(text: bytes, width: int) -> bool:
    """Whether every line is `width` fields of characters of numbers, with one blank between them."""
    separators, line = text.translate(None, _NUMBER_CHARACTERS), b" " * (width - 1) + b"\n"
    blank = np.frombuffer(text, np.uint8) <= ord(" ")
    return text != b"" and separators == line * (len(separators) // width) and not (blank[1:] & blank[:-1]).any()


def _numbers(path: Path, lines: _Lines, rows: np.ndarray, width: int) -> np.ndarray:
    """The numbers of the lines at `rows` (0-based): (len(rows), width) float64."""
    if not len(rows):
        return np.zeros((0, width))
    try:
        table = np.loadtxt([lines[row] for row in rows.tolist()], comments=None, ndmin=2)
    except ValueError:
        table = np.empty(0)
    if table.shape != (len(rows), width):  # only now is it worth the time to look at each line
        raise BrokenFileError(path, *_first_wrong(lines, rows, width))
    return table


def _first_wrong(lines: _Lines, rows: np.ndarray, width: int) -> tuple[int, str]:
    """Line number and problem of the first of `rows` that is not `width` numbers."""
    for row in rows:
        tokens = lines[row].split()
        if len(tokens) != width:
            return row + 1, f"{width} numbers expected, found {len(tokens)}"
        if not _are_numbers(lines[row], width):
            wrong = next(token for token in tokens if not _are_numbers(token, 1))
            return row + 1, f"{_excerpt(wrong)} is no number"
    raise AssertionError("the lines are right one by one, but not together")


def _are_numbers(text: bytes, count: int) -> bool:
    try:
        return np.loadtxt([text], comments=None, ndmin=1).size == count
    except ValueError:
        return False


def _excerpt(text: bytes) -> str:
    """What a message shows of the file."""
    shown = ascii(text.decode("latin-1"))
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
