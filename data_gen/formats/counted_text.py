"""Text that counts: the frames, the bodies of each frame, the joints of each body.

    format    data set             joints    a joint's line
    ntu       NTU RGB+D, PKU-MMD   25        x y z and 9 more numbers (`.skeleton`)
    ntu       UAV-Human            17        x y z ..., or x y (`.txt`, made by the same program)

A body's line begins with its number, which `Recording.identity` holds; a body is at its position within the frame's
list. A joint whose coordinates are all zero is missing: that is the camera's own place, or the corner of the picture.
`data_gen/formats/ntu_skeleton.py` reads NTU RGB+D alone, six times as fast.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from data_gen.formats.arrays import guess_channels
from data_gen.formats.files import Source, is_number, missing
from data_gen.formats.ntu_skeleton import FRAME_RATE, NUM_JOINT, walk
from data_gen.formats.recording import Recording
from graph.channels import Channels
from graph.ntu_rgb_d import SKELETON


def is_counted(source: Source) -> bool:
    """Whether the first two lines are one whole number each."""
    return bool(re.match(rb"\s*\d{1,9}\s*?\r?\n\s*\d{1,3}\s*(\r|\n|$)", source.head))


def read_counted(source: Source) -> Iterator[Recording]:
    """A recording; errors as `Recording.of`, or a file that is truncated or garbled."""
    lines = [line.strip() for line in source.text.rstrip().encode().splitlines()]
    T, frame, place, row, V = walk(lines, None)
    if not len(row):
        raise ValueError("no body in any frame")
    table = [[_joint(lines[at], at + 1) for at in range(first + 2, first + 2 + V)] for first in row.tolist()]
    widths = {len(joint) for body in table for joint in body}
    if len(widths) > 1:
        raise ValueError(f"joints of {min(widths)} and of {max(widths)} coordinates")
    coordinates = np.array(table)
    joints = missing((T, 1 + place.max(), *coordinates.shape[1:]))
    joints[frame, place] = np.where((coordinates == 0).all(axis=2, keepdims=True), np.nan, coordinates)
    identity = np.full(joints.shape[:2], -1)
    identity[frame, place] = [_identity(lines[first]) for first in row.tolist()]
    if not np.nan_to_num(joints[..., 2:]).any():
        joints = joints[..., :2]  # a picture's joints, filled up with zeros
    channels = guess_channels(joints)
    if joints.shape[2:] == (NUM_JOINT, 3) and channels.unit == "unknown":
        channels = Channels(channels.names, "metres")
    is_kinect = joints.shape[2:] == (NUM_JOINT, 3)
    yield Recording.of(
        source.name,
        joints,
        channels,
        # NTU's preparation computes in float64, so that a recording gives its row to the last digit
        dtype=np.float64 if is_kinect else np.float32,
        identity=identity,
        frame_rate=FRAME_RATE if is_kinect else None,
        skeleton=SKELETON if is_kinect else None,
    )


def _joint(text: bytes, line: int) -> list[float]:
    words = text.split()
    if len(words) < 2:
        raise ValueError(f"line {line}: the coordinates of a joint expected, found {text.decode()!a:.60}")
    for word in words[:3]:
        if not is_number(word):
            raise ValueError(f"line {line}: {word.decode()!a:.60} is no number")
    return [float(word) for word in words[:3]]


def _identity(text: bytes) -> int:
    number = re.match(rb"\d{1,18}(?=\s|$)", text)
    return int(number[0]) if number else -1
