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

from data_gen.formats.files import Source, is_number, missing
from data_gen.formats.nested import guess_channels
from data_gen.formats.ntu_skeleton import FRAME_RATE, NUM_JOINT
from data_gen.formats.recording import Recording
from graph.channels import Channels
from graph.common.words import plural
from graph.ntu_rgb_d import SKELETON


def is_counted(source: Source) -> bool:
    """Whether the first two lines are one whole number each."""
    return bool(re.match(rb"(\xef\xbb\xbf)?\s*\d{1,9}\s*?\r?\n\s*\d{1,3}\s*(\r|\n|$)", source.head))


def read_counted(source: Source) -> Iterator[Recording]:
    """A recording; errors as `Recording.of`, or a file that is truncated or garbled."""
    lines = [line.split() for line in source.text.rstrip().splitlines()]
    row = 0

    def count(what: str) -> int:
        nonlocal row
        row += 1
        if row > len(lines):
            raise ValueError(f"line {max(len(lines), 1)}: the file ends where {what} should follow")
        if len(lines[row - 1]) != 1 or not re.fullmatch(r"\d{1,9}", lines[row - 1][0], re.ASCII):
            raise ValueError(f"line {row}: {what} expected, found {' '.join(lines[row - 1])!a:.60}")
        return int(lines[row - 1][0])

    T = count("the number of frames")
    bodies: list[tuple[int, int, int, list[list[float]]]] = []  # frame, place, number, joints
    V = source.skeleton.num_point if source.skeleton else None
    for frame in range(T):
        where = f"of frame {frame + 1} of {T}"
        for place in range(count(f"the number of bodies {where}")):
            row += 1
            number = lines[row - 1][0] if row <= len(lines) and lines[row - 1] else ""
            joints = count(f"the joint count of body {place + 1} {where}")
            if joints != (V := V or joints):
                raise ValueError(f"line {row}: {V} joints expected, found {joints}")
            if row + joints > len(lines):
                raise ValueError(f"line {len(lines)}: the file ends within body {place + 1} {where}")
            numbers = [_joint(lines[at], at + 1) for at in range(row, row + joints)]
            row += joints
            bodies.append((frame, place, _identity(number), numbers))
    if row < len(lines):
        raise ValueError(f"line {row + 1}: the file goes on after the last of its {plural(T, 'frame')}")
    if not bodies:
        raise ValueError("no body in any frame")
    yield _recording(source, T, bodies)


def _recording(source: Source, T: int, bodies: list[tuple[int, int, int, list[list[float]]]]) -> Recording:
    frames, places, numbers, _ = zip(*bodies, strict=True)
    widths = {len(joint) for body in bodies for joint in body[3]}
    if len(widths) > 1:
        raise ValueError(f"joints of {min(widths)} and of {max(widths)} coordinates")
    table = np.array([body[3] for body in bodies])
    joints = missing((T, 1 + max(places), *table.shape[1:]))
    joints[frames, places] = np.where((table == 0).all(axis=2, keepdims=True), np.nan, table)
    identity = np.full(joints.shape[:2], -1)
    identity[frames, places] = numbers
    if not np.nan_to_num(joints[..., 2:]).any():
        joints = joints[..., :2]  # a picture's joints, filled up with zeros
    channels = guess_channels(joints)
    if joints.shape[2:] == (NUM_JOINT, 3) and channels.unit == "unknown":
        channels = Channels(channels.names, "metres")
    is_kinect = joints.shape[2:] == (NUM_JOINT, 3)
    skeleton = SKELETON if is_kinect and source.skeleton is None else None
    rate = FRAME_RATE if is_kinect else None
    known = {"identity": identity, "frame_rate": rate, "skeleton": skeleton}
    # NTU's preparation computes in float64, so that a recording gives its row to the last digit
    return Recording.of(source.name, joints, channels, dtype=np.float64 if is_kinect else np.float32, **known)


def _joint(words: list[str], line: int) -> list[float]:
    if len(words) < 2:
        raise ValueError(f"line {line}: the coordinates of a joint expected, found {' '.join(words)!a:.60}")
    for word in words[:3]:
        if not is_number(word):
            raise ValueError(f"line {line}: {word!a:.60} is no number")
    return [float(word) for word in words[:3]]


def _identity(word: str) -> int:
    return int(word) if re.fullmatch(r"\d{1,18}", word, re.ASCII) else -1
