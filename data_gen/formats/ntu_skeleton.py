"""Reader of NTU RGB+D's `.skeleton` text files (Kinect v2, 25 joints, metres).

The form, one item a line: the frame count; per frame the body count; per body 10 numbers about the body, of which the
first is its identity, the joint count, then 12 numbers a joint, of which the first three are x, y, z.
Axis legend: M bodies, T frames, V joints, C coordinates; B bodies of all frames, one after the other. A body's place
is its position within the frame's list.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_gen.formats.files import is_number
from graph.common.words import plural

NUM_JOINT, FRAME_RATE = 25, 30
_BODY_WIDTH, _JOINT_WIDTH = 10, 12
_BODY_LINES = 2 + NUM_JOINT
_NUMBER_CHARACTERS = b"0123456789.+-eEnNaAiIfF"  # NaN and inf are numbers too
_BODY_SEPARATORS = b" " * (_BODY_WIDTH - 1) + b"\n\n" + NUM_JOINT * (b" " * (_JOINT_WIDTH - 1) + b"\n")
_MAX_BYTES = 16 << 20  # the longest real recordings have 3 MB
_MAX_METRES = 1e6  # far beyond any room, and far below numbers whose square overflows
_LONGEST = 16  # characters; one digit, the point and 14 decimals are a whole number below 2**53


class SkeletonFile(NamedTuple):
    """What a file holds."""

    bodies: np.ndarray  # (M, T, V, C) float64 metres, zero where a body is absent or a joint is missing
    identity: np.ndarray  # (M, T) the body's number in the order in which identities appear; -1: absent
    num_frame: int


class _Table(NamedTuple):
    num_frame: int
    frame: np.ndarray  # (B,)
    place: np.ndarray  # (B,)
    row: np.ndarray  # (B,) first line of each body, from 0
    identity: list[bytes]  # B of them, as written
    xyz: np.ndarray  # (B * V, C) float64


def read_skeleton(path: Path, *, max_body: int = 4, max_frame: int = 300) -> SkeletonFile:
    """Read the first `max_body` bodies of the first `max_frame` frames, and check the whole file.

    Of a joint's twelve numbers, x, y, z are read; the others only have to look like numbers. A joint is missing if one
    of the three is NaN, or if all are zero, which is the place of the lens.

    Raises:
        ValueError: the file is truncated or garbled; the message is the rest of a sentence that names it.
        OSError: the file cannot be read.
    """
    if not path.is_file() and path.exists():
        raise ValueError("it is no regular file")
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"no recording is larger than {_MAX_BYTES >> 20} MB")
    text = path.read_bytes()
    table = _regular(text if text.endswith(b"\n") else text + b"\n") or _any(text)
    xyz = table.xyz
    if not (np.abs(xyz) < _MAX_METRES).all():  # NaN compares false
        xyz[np.isnan(xyz).any(axis=1)] = 0
        wrong = ~(np.abs(xyz) < _MAX_METRES).all(axis=1)
        if wrong.any():
            row, values = _joint_rows(table.row)[wrong.argmax()], xyz[wrong.argmax()].tolist()
            raise _broken(row + 1, f"x y z {values} is no position in metres")

    kept = (table.place < max_body) & (table.frame < max_frame)
    place, frame = table.place[kept], table.frame[kept]
    shape = (place.max(initial=0) + 1, min(table.num_frame, max_frame))
    bodies, identity = np.zeros((*shape, NUM_JOINT, 3)), np.full(shape, -1)
    bodies[place, frame] = xyz.reshape(-1, NUM_JOINT, 3)[kept]
    numbers: dict[bytes, int] = {}
    identity[place, frame] = np.array([numbers.setdefault(name, len(numbers)) for name in table.identity], int)[kept]
    return SkeletonFile(bodies, identity, table.num_frame)


def _regular(text: bytes) -> _Table | None:
    """The content of a file as Kinect's recorder writes it, all lines at once; None for any other form.

    Counts fit the lines, line ends are alike, and one blank stands between numbers. `_any` reads what differs, and
    names what is wrong.
    """
    characters = np.frombuffer(text, np.uint8)
    (ends,) = np.nonzero(characters == ord("\n"))
    start, stop, end = np.concatenate([[0], ends[:-1] + 1]), ends, b"\n"
    if b"\r" in text:
        stop, end = ends - 1, b"\r\n"
        if (characters[stop] != ord("\r")).any():
            return None
    is_blank = characters <= ord(" ")
    num_double = np.count_nonzero(is_blank[1:] & is_blank[:-1])
    (short,) = np.nonzero(stop - start <= 3)  # the lines of counts: ten numbers take more
    words = [text[i:j] for i, j in zip(start[short].tolist(), stop[short].tolist(), strict=True)]
    if is_blank[0] or num_double != (len(end) - 1) * len(ends) or not all(map(bytes.isdigit, words)):
        return None
    values = np.array(list(map(int, words)), int)
    is_frame = values != NUM_JOINT  # the others are joint counts, but for the first
    is_frame[:1] = False
    counts = values[is_frame]  # bodies of each frame
    num_frame, num_body, before = len(counts), int(counts.sum()), np.cumsum(counts) - counts
    frame_row = 1 + np.arange(num_frame) + _BODY_LINES * before
    if (
        num_body == 0
        or values[0] != num_frame  # there is one, for there are bodies
        or len(short) != 1 + num_frame + num_body
        or len(ends) != 1 + num_frame + _BODY_LINES * num_body
        or not np.array_equal(short[is_frame], frame_row)
    ):
        return None
    of_body = _BODY_SEPARATORS.replace(b"\n", end)
    separators = b"".join([end, *(end + count * of_body for count in counts.tolist())])
    if text.translate(None, _NUMBER_CHARACTERS) != separators:
        return None
    place = np.arange(num_body) - np.repeat(before, counts)
    row = np.repeat(frame_row + 1, counts) + _BODY_LINES * place
    windows: np.ndarray = np.ndarray((len(text) - _LONGEST + 1,), f"V{_LONGEST}", text, strides=(1,))
    xyz, field = [], start[_joint_rows(row)]
    for _ in range(3):
        numbers = _decimals(text, windows, field)
        if numbers is None:
            return None
        xyz.append(numbers[0])
        field = numbers[1] + 1
    heads = [text[at : text.index(b" ", at)] for at in start[row].tolist()]
    return _Table(num_frame, np.repeat(np.arange(num_frame), counts), place, row, heads, np.stack(xyz, axis=1))


def _decimals(text: bytes, windows: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The numbers that begin at `first` and end with a blank, as `float` reads them, and their ends; None: no number.

    `windows` are the `_LONGEST` characters from each character of `text` on; nine more fields follow each number.
    Numbers such as -1.234567 are read together: a whole number and a power of ten, both exact in float64, have the
    quotient that `float` gives. The others are read one by one.
    """
    begin = first + (np.frombuffer(text, np.uint8)[first] == ord("-"))
    words = windows[begin].view(np.uint8).reshape(-1, _LONGEST)
    width = (words == ord(" ")).argmax(axis=1)
    digits = np.ascontiguousarray(words.T) - np.uint8(ord("0"))  # a column a number; other characters are above 9
    is_plain = (width > 2) & (digits[0] <= 9) & (words[:, 1] == ord("."))
    most = int(width.max(where=is_plain, initial=2))
    digits[2:most] *= np.arange(2, most, dtype=np.uint8)[:, None] < width.astype(np.uint8)
    is_plain &= (digits[2:most] <= 9).all(axis=0)
    values = np.zeros(len(first))
    for digit in digits[[0, *range(2, most)]]:
        values *= 10
        values += digit
    values /= 10.0 ** (most - 2)
    np.negative(values, out=values, where=begin > first)
    end = begin + width
    try:
        for index in np.flatnonzero(~is_plain).tolist():
            end[index] = text.index(b" ", first[index])
            values[index] = float(text[first[index] : end[index]])
    except ValueError:
        return None
    return values, end


def _any(text: bytes) -> _Table:
    """The content of a file, line by line; errors as `read_skeleton`."""
    lines = [line.strip() for line in text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")]
    while lines and not lines[-1]:
        lines.pop()
    num_frame, frame, place, row, _ = walk(lines, NUM_JOINT)
    _numbers(lines, row, _BODY_WIDTH)  # checks them
    identity = [lines[body].split()[0] for body in row.tolist()]
    return _Table(num_frame, frame, place, row, identity, _numbers(lines, _joint_rows(row), _JOINT_WIDTH)[:, :3])


def walk(lines: Sequence[bytes], num_joint: int | None) -> tuple[int, np.ndarray, np.ndarray, np.ndarray, int]:
    """Follow the counts through the lines of a file.

    Args:
        num_joint: V; None: as many as the first body has.

    Returns:
        The number of frames; of each body its frame, its place and its first line, from 0; and V.

    Raises:
        ValueError: a count is wrong; the message is the rest of a sentence that names the file.
    """

    def count(row: int, what: str) -> int:
        if row >= len(lines):
            raise _broken(max(len(lines), 1), f"the file ends where {what} should follow")
        text = lines[row]
        if not text.isdigit() or len(text) > 9:
            raise _broken(row + 1, f"{what} expected, found {_excerpt(text)}")
        return int(text)

    num_frame = count(0, "the number of frames")
    bodies: list[tuple[int, int, int]] = []
    row, V = 1, num_joint
    for frame in range(num_frame):
        where = f"of frame {frame + 1} of {num_frame}"
        num_body = count(row, f"the number of bodies {where}")
        row += 1
        for body in range(num_body):
            if (joints := count(row + 1, f"the joint count of body {body + 1} {where}")) != (V := V or joints):
                raise _broken(row + 2, f"{V} joints expected, found {joints}")
            bodies.append((frame, body, row))
            row += 2 + V
            if row > len(lines):
                raise _broken(len(lines), f"the file ends within body {body + 1} {where}")
    if row < len(lines):
        raise _broken(row + 1, f"the file goes on after the last of its {plural(num_frame, 'frame')}")
    frame_body_row = np.array(bodies, dtype=np.int64).reshape(-1, 3).T
    return num_frame, frame_body_row[0], frame_body_row[1], frame_body_row[2], V or 0


def _joint_rows(start: np.ndarray) -> np.ndarray:
    """The rows of the joints of the bodies whose first rows are `start`."""
    return (start[:, None] + np.arange(2, _BODY_LINES)).ravel()


def _numbers(lines: Sequence[bytes], rows: np.ndarray, width: int) -> np.ndarray:
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


def _first_wrong(lines: Sequence[bytes], rows: np.ndarray, width: int) -> tuple[int, str]:
    """Line number and problem of the first of `rows` that is not `width` numbers."""
    for row in rows:
        tokens = lines[row].split()
        if len(tokens) != width:
            return row + 1, f"{width} numbers expected, found {len(tokens)}"
        if wrong := [token for token in tokens if not is_number(token)]:
            return row + 1, f"{_excerpt(wrong[0])} is no number"
    raise AssertionError("each line is right, but all together are not")


def _broken(line: int, problem: str) -> ValueError:
    return ValueError(f"line {line}: {problem}")


def _excerpt(text: bytes) -> str:
    """The part of a file's text that a message shows."""
    shown = ascii(text.decode("latin-1"))
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
