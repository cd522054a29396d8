"""The lines of a table in an array (T, M, V, C): each is a frame, a person of a frame, or a joint.

Axis legend: L lines, T frames, M persons, V joints, C channels.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from data_gen.formats.arrays import guess_channels, named_channels
from data_gen.formats.files import Source, missing
from data_gen.formats.headings import ordered
from data_gen.formats.places import frame_places, person_places
from data_gen.formats.recording import Recording
from graph.common.words import plural
from graph.tools import Skeleton

_NO_FRAMES = "its lines are joints, and no column counts the frames"


class Lines(NamedTuple):
    """Numbers, and what each line says of the frame, the person and the joint that it is of; None: nothing."""

    cells: np.ndarray  # (L, M, V, C); (L, 1, 1, C) if a line is a joint
    names: tuple[str, ...]  # of the channels; none: they are guessed
    skeleton: Skeleton | None  # whose joints the V axis has
    frame: Sequence[Hashable] | None = None
    person: Sequence[str] | None = None
    joint: Sequence[str] | None = None
    is_joint: bool = False  # whether a line is a joint


def recording_of_lines(source: Source, lines: Lines, notes: tuple[str, ...] = ()) -> Recording:
    """The recording of lines in any order.

    Raises:
        ValueError: two lines are the same, or the order of joints or frames cannot be told.
    """
    count, M, V, C = lines.cells.shape
    joint, person = [0] * count, lines.person or ["0"] * count
    if lines.is_joint:
        lines, joint, V = _with_joints(lines)
    frame = lines.frame or range(count)
    frames, persons = frame_places(frame), person_places(person)
    f, p = [frames.of[name] for name in frame], [persons.of[name] for name in person]
    if len(set(zip(f, p, joint, strict=True))) < count:
        raise ValueError(f"two lines are of the same frame and person{' and joint' if lines.is_joint else ''}")
    array = missing((len(frames.numbers), max(M, len(persons.numbers)), V, C))
    if lines.is_joint:
        array[f, p, joint] = lines.cells[:, 0, 0]
    elif lines.person:
        array[f, p] = lines.cells[:, 0]
    else:
        array[f] = lines.cells
    identity = np.where(np.isnan(array).all(axis=(2, 3)), -1, persons.numbers) if lines.person else None
    channels = named_channels(lines.names, array) if lines.names else guess_channels(array)
    return Recording.of(
        source.name,
        array,
        channels,
        skeleton=lines.skeleton,
        identity=identity,
        frames=frames.numbers,
        notes=notes + frames.notes,
    )


def tells_joints(words: Sequence[str], groups: Collection[Hashable], skeleton: Skeleton | None) -> bool:
    """Whether words, one a line, name or number the skeleton's joints, each once in each group of lines."""
    different = set(words)
    is_once = len(set(zip(groups, words, strict=True))) == len(words) == len(different) * len(set(groups))
    try:
        return is_once and skeleton is not None and len(ordered(different, skeleton)[0]) == skeleton.num_point
    except ValueError:
        return False


def _with_joints(lines: Lines) -> tuple[Lines, list[int], int]:
    """Lines of a joint each with their frame and skeleton, the joint of each line, and V."""
    count, skeleton = len(lines.cells), lines.skeleton
    V = skeleton.num_point if skeleton else 0
    if lines.joint is not None:
        names, skeleton = ordered(dict.fromkeys(lines.joint), skeleton)
        V = len(names)
        if skeleton and skeleton.num_point != V:
            raise ValueError(f"its lines name {plural(V, 'joint')}, the skeleton has {skeleton.num_point}")
        place = {name: v for v, name in enumerate(names)}
        joint = [place[word] for word in lines.joint]
    else:
        joint = _by_order(lines, V)
        V = V or 1 + max(joint)
    frame = lines.frame or [line // V for line in range(count)]
    if lines.frame is None and len(set(zip(frame, joint, strict=True))) < count:
        raise ValueError(_NO_FRAMES)
    return lines._replace(frame=frame, skeleton=skeleton), joint, V


def _by_order(lines: Lines, V: int) -> list[int]:
    """The joint of each line by its place in its frame, where no column names joints; V is 0 where it is unknown."""
    count = len(lines.cells)
    if lines.frame is None and not V:
        raise ValueError(_NO_FRAMES)
    if lines.frame is None and count % V:
        lines_of = plural(count, "line of a joint is", "lines of a joint are")
        raise ValueError(f"{lines_of} no frames of {plural(V, 'joint')}")
    frame = lines.frame or [line // V for line in range(count)]
    groups = list(zip(frame, lines.person or [""] * count, strict=True))
    runs = [(name, len(list(run))) for (name, _), run in groupby(groups)]
    if len(runs) > len(set(groups)):
        raise ValueError(
            "the lines of a frame do not follow each other, so the order of its joints cannot be told; "
            "name the joints in a column"
        )
    V = V or runs[0][1]
    if wrong := next(((name, size) for name, size in runs if size != V), None):
        raise ValueError(
            f"frame {wrong[0]!s:.20} has {plural(wrong[1], 'line')}, not one for each of {plural(V, 'joint')}; "
            "name joints and persons in columns"
        )
    return [line % V for line in range(count)]
