"""Reader of SBU Kinect Interaction's `skeleton_pos.txt` (Yun et al., CVPR Workshops 2012): 15 joints, two persons.

A line is a frame: its number, then 15 joints (x, y, z) of the one person and of the other, separated by commas. x and y
are fractions of the picture, z a depth. Joints are read in metres, converted as on the data set's page:
X = 1.28 - 2.56 x (to the left of the picture), Y = 0.96 - 1.92 y (upwards), Z = 1.28 z (away from the camera). A joint
without a number, or with x = y = z = 0, is missing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from data_gen.formats.files import Source, check_size, is_number
from data_gen.formats.recording import Recording
from graph.channels import Channels
from graph.sbu import SKELETON

NUM_PERSON = 2
_FIELDS = 1 + NUM_PERSON * SKELETON.num_point * 3
_MAX_MB = 16  # a sequence of 46 frames has 0.03 MB
_MAX_RECORDED = 100  # real numbers lie between -1 and 3


def is_sbu(source: Source) -> bool:
    """Whether the first line is 91 numbers with commas: a whole one, then x and y as fractions of a picture, and z."""
    fields = source.head.split(b"\n")[0].split(b",")
    if len(fields) != _FIELDS or not fields[0].strip().isdigit() or not all(map(is_number, fields)):
        return False
    places = [float(fields[at + axis]) for at in range(1, _FIELDS, 3) for axis in (0, 1)]
    return all(-0.5 <= place <= 1.5 for place in places)


def read_sbu(source: Source) -> Iterator[Recording]:
    """A sequence; errors: the file has another form."""
    check_size(source.path, _MAX_MB)
    lines = source.text.rstrip().encode("latin-1", "replace").splitlines()
    if not lines:
        raise ValueError("the file is empty")
    rows = np.array([_numbers(line, number) for number, line in enumerate(lines, 1)])
    _check(rows)
    recorded = rows[:, 1:].reshape(-1, NUM_PERSON, SKELETON.num_point, 3)
    recorded[(recorded == 0).all(axis=3)] = np.nan
    x, y, z = np.moveaxis(recorded, -1, 0)
    joints = np.stack([1.28 - 2.56 * x, 0.96 - 1.92 * y, 1.28 * z], axis=-1)
    yield Recording.of(source.name, joints, Channels(unit="metres"), skeleton=SKELETON)


def _numbers(line: bytes, number: int) -> list[float]:
    """The numbers of the line of this number; an empty field is NaN."""
    fields = [field.strip() for field in line.split(b",")] if line.strip() else []
    if len(fields) != _FIELDS:
        raise ValueError(f"line {number}: {_FIELDS} numbers expected, found {len(fields)}")
    if wrong := [field for field in fields if field and not is_number(field)]:
        raise ValueError(f"line {number}: {wrong[0][:20].decode('latin-1')!a} is no number")
    return [float(field or b"nan") for field in fields]


def _check(rows: np.ndarray) -> None:
    """Check the numbers of all lines (T, 91).

    Raises:
        ValueError: a frame out of order, a number that is no position, or an absent person.
    """
    recorded = rows[:, 1:].reshape(len(rows), NUM_PERSON, -1)
    for wrong, problem in (
        (rows[:, 0] != rows[0, 0] + np.arange(len(rows)), "the frame number does not follow the one before it"),
        ((np.abs(recorded) >= _MAX_RECORDED).any(axis=(1, 2)), "a number is no position"),  # NaN compares false
        ((recorded == 0).all(axis=2).any(axis=1), "all numbers of a person are zero"),
    ):
        if wrong.any():
            raise ValueError(f"line {wrong.argmax() + 1}: {problem}")
