"""Which place in an array (T, M, V, C) frames and persons have, by the numbers or names that a file gives them.

Axis legend: T frames, M persons, V joints, C channels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_gen.formats.files import is_number

_LIMIT = 1 << 62  # Kinect numbers bodies from 2**56


class Places(NamedTuple):
    """The place of each name, and the number of each place."""

    of: dict[Hashable, int]
    numbers: NDArray[np.int64]
    notes: tuple[str, ...] = ()
    stride: int = 1  # the step from one number to the next


def frame_places(names: Iterable[Hashable]) -> Places:
    """Frames at their numbers, from the first to the last; a number that is left out is a frame without anybody.

    A name that is no number may end in one (`a_012.jpg`). Names without numbers, and moments such as 0.25, have no
    frames between them. Numbers at a stride (0, 5, 10, 20) are of every fifth frame: nothing is between 0 and 5, and 15
    is a frame without anybody.
    """
    different = _in_order(names)
    counted = [_frame_number(name) for name in different]
    numbers = [number for number in counted if number is not None]
    if not numbers or len(set(numbers)) < len(counted):
        return Places({name: place for place, name in enumerate(different)}, np.arange(len(different)))
    first, last = min(numbers), max(numbers)
    stride = math.gcd(*(number - first for number in numbers)) if len(numbers) > 2 else 1  # two frames show no stride
    if last - first >= (10 * len(numbers) + 300) * stride:  # numbers of pictures, not of frames
        rank = {number: place for place, number in enumerate(sorted(numbers))}
        of = {name: rank[number] for name, number in zip(different, numbers, strict=True)}
        return Places(of, np.array(sorted(numbers)), ("took only the frames with persons",))
    of = {name: (number - first) // stride for name, number in zip(different, numbers, strict=True)}
    notes = (f"took frames numbered in steps of {stride} as consecutive",) if stride > 1 else ()
    return Places(of, np.arange(first, last + 1, stride), notes, stride)


def person_places(names: Iterable[Hashable]) -> Places:
    """Each person at one place, by number where all have one, or else by first appearance."""
    different = _in_order(names)
    numbers = [_whole(name) for name in different]
    of = {name: place for place, name in enumerate(different)}
    is_numbered = None not in numbers and len(set(numbers)) == len(numbers)
    return Places(of, np.array(numbers if is_numbered else range(len(different)), np.int64))


def _frame_number(name: Any) -> int | None:
    """The number of a frame, or that in which its name ends before a suffix; None: it has none."""
    if isinstance(name, str) and not is_number(name):
        digits = re.findall(r"\d{1,15}", re.sub(r"\.\w{1,5}$", "", name), re.ASCII)
        return int(digits[-1]) if digits else None
    return _whole(name)


def _whole(name: Any) -> int | None:
    """A whole number from 0, also written 12.0; None: it is none."""
    if isinstance(name, str):
        return int(match[1]) if (match := re.fullmatch(r"\s*(\d{1,18})(\.0*)?\s*", name, re.ASCII)) else None
    return name if type(name) is int and 0 <= name < _LIMIT else None


def _in_order(names: Iterable[Hashable]) -> list[Hashable]:
    """Different names: by number where all are numbers, or else as they come."""
    different = list(dict.fromkeys(names))
    are_numbers = all(is_number(str(name)) for name in different)
    return sorted(different, key=lambda name: float(str(name))) if are_numbers else different
