"""Reader of NTU RGB+D's `.skeleton` text files (Kinect v2, 25 joints, metres).

The form, one item a line: the frame count; per frame the body count; per body 10 numbers about the body, the
joint count, then 12 numbers a joint, of which the first three are x, y, z.
Axis legend: M bodies, T frames, V joints, C coordinates. A body's index is its position within the frame's list.
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
_MAX_BYTES = 16 << 20  # the longest real recordings have 3 MB
_MAX_METRES = 1e6  # far beyond any room, and far below numbers whose square overflows


class Recording(NamedTuple):
    """A file's `bodies` (M, T, V, C) float64, zero where a body is absent, and its number of frames."""

    bodies: np.ndarray
    num_frame: int


def read_skeleton(path: Path, *, max_body: int = 4, max_frame: int = 300) -> Recording:
    """Read the first `max_body` bodies of the first `max_frame` frames, and check the whole file.

    Of a joint's twelve numbers, x, y, z are read; the others only have to look like numbers.

    Returns:
        `bodies` (max_body, T, 25, 3) float64 in metres, T = min(frames of the file, max_frame).

    Raises:
        ValueError: the file is truncated or garbled; the message is the rest of a sentence that names it.
        OSError: the file cannot be read.
    """
    if not path.is_file() and path.exists():
        raise ValueError("it is no regular file")
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"no recording is larger than {_MAX_BYTES >> 20} MB")
    lines = _Lines(path.read_bytes())
    num_frame, frame, body, start = _walk(lines)
    xyz = _positions(lines, start)
    wrong = ~(np.abs(xyz) < _MAX_METRES).all(axis=1)  # NaN compares false, so it is wrong too
    if wrong.any():
        row, values = _joint_rows(start)[wrong.argmax()], xyz[wrong.argmax()].tolist()
        raise _broken(row + 1, f"x y z {values} is no position in metres")

    bodies = np.zeros((max_body, min(num_frame, max_frame), NUM_JOINT, 3))
    kept = (body < max_body) & (frame < max_frame)
    bodies[body[kept], frame[kept]] = xyz.reshape(-1, NUM_JOINT, 3)[kept]
    return Recording(bodies, num_frame)


class _Lines:
    """The lines of a text, cut out when they are needed: a list of all takes as long as reading their numbers."""

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
        """The text of the lines from `first` up to and without `last`."""
        return self._text[self._bounds[first] : self._bounds[last]]


def _walk(lines: _Lines) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Follow the counts through the file: the frame count, and each body's frame, index and first row."""

    def count(row: int, what: str) -> int:
        if row >= len(lines):
            raise _broken(max(len(lines), 1), f"the file ends where {what} should follow")
        text = lines[row]
        if not text.isdigit() or len(text) > 9:
            raise _broken(row + 1, f"{what} expected, found {_excerpt(text)}")
        return int(text)

    num_frame = count(0, "the number of frames")
    bodies: list[tuple[int, int, int]] = []
    row = 1
    for frame in range(num_frame):
        where = f"of frame {frame + 1} of {num_frame}"
        num_body = count(row, f"the number of bodies {where}")
        row += 1
        for body in range(num_body):
            if (joints := count(row + 1, f"the joint count of body {body + 1} {where}")) != NUM_JOINT:
                raise _broken(row + 2, f"{NUM_JOINT} joints expected, found {joints}")
            bodies.append((frame, body, row))
            row += _BODY_LINES
            if row > len(lines):
                raise _broken(len(lines), f"the file ends within body {body + 1} {where}")
    if row < len(lines):
        raise _broken(row + 1, f"the file goes on after the last of its {plural(num_frame, 'frame')}")
    frame_body_row = np.array(bodies, dtype=np.int64).reshape(-1, 3).T
    return num_frame, frame_body_row[0], frame_body_row[1], frame_body_row[2]


def _joint_rows(start: np.ndarray) -> np.ndarray:
    """The rows of the joints of the bodies whose first rows are `start`."""
    return (start[:, None] + np.arange(2, _BODY_LINES)).ravel()


def _positions(lines: _Lines, start: np.ndarray) -> np.ndarray:
    """x, y, z of all joints of the bodies whose first rows (0-based) are `start`: (len(start) * V, 3) float64."""
    bodies = b"".join([lines.block(row, row + 1) for row in start.tolist()])
    joints = b"".join([lines.block(row + 2, row + _BODY_LINES) for row in start.tolist()])
    if _is_table(bodies, _BODY_WIDTH) and _is_table(joints, _JOINT_WIDTH):
        # as in all genuine files: converting three numbers a joint takes half the time of converting all
        with suppress(ValueError):
            return np.loadtxt(BytesIO(joints), comments=None, delimiter=" ", usecols=(0, 1, 2), ndmin=2)
    _numbers(lines, start, _BODY_WIDTH)
    return _numbers(lines, _joint_rows(start), _JOINT_WIDTH)[:, :3]


def _is_table(text: bytes, width: int) -> bool:
    """Whether every line is `width` fields of characters of numbers, with one blank between them."""
    separators, line = text.translate(None, _NUMBER_CHARACTERS), b" " * (width - 1) + b"\n"
    blank = np.frombuffer(text, np.uint8) <= ord(" ")
    return text != b"" and separators == line * (len(separators) // width) and not (blank[1:] & blank[:-1]).any()


def _numbers(lines: _Lines, rows: np.ndarray, width: int) -> np.ndarray:
    """The numbers of the lines at `rows` (0-based): (len(rows), width) float64."""
    if not len(rows):
        return np.zeros((0, width))
    try:
        table = np.loadtxt([lines[row] for row in rows.tolist()], comments=None, ndmin=2)
    except ValueError:
        table = np.empty(0)
    if table.shape != (len(rows), width):  # only then each line is looked at, which is slow
        raise _broken(*_first_wrong(lines, rows, width))
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
    raise AssertionError("each line is right, but all together are not")


def _are_numbers(text: bytes, count: int) -> bool:
    try:
        return np.loadtxt([text], comments=None, ndmin=1).size == count
    except ValueError:
        return False


def _broken(line: int, problem: str) -> ValueError:
    return ValueError(f"line {line}: {problem}")


def _excerpt(text: bytes) -> str:
    """The part of a file's text that a message shows."""
    shown = ascii(text.decode("latin-1"))
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
