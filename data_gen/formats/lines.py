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
    joint = [0] * count
    if lines.is_joint:
        lines, joint, V = _with_joints(lines)
    frames = frame_places(lines.frame or range(count))
    persons = person_places(lines.person or ["0"])
    f = [frames.of[name] for name in lines.frame or range(count)]
    p = [persons.of[name] for name in lines.person or ["0"] * count]
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
    count, skeleton, frame = len(lines.cells), lines.skeleton, lines.frame
    if lines.joint is not None:
        names, skeleton = ordered(dict.fromkeys(lines.joint), skeleton)
        V = len(names)
        if skeleton and skeleton.num_point != V:
            raise ValueError(f"its lines name {plural(V, 'joint')}, the skeleton has {skeleton.num_point}")
        place = {name: v for v, name in enumerate(names)}
        joint = [place[word] for word in lines.joint]
        frame = frame or [line // V for line in range(count)]
        if lines.frame is None and len(set(zip(frame, joint, strict=True))) < count:
            raise ValueError("its lines are joints, and no column counts the frames")
        return lines._replace(frame=frame, skeleton=skeleton), joint, V
    if frame is None and skeleton is None:
        raise ValueError("its lines are joints, and only a skeleton tells how many joints a frame has")
    if frame is None and skeleton is not None:
        if count % skeleton.num_point:
            lines_of = plural(count, "line of a joint is", "lines of a joint are")
            raise ValueError(f"{lines_of} no frames of {plural(skeleton.num_point, 'joint')}")
        frame = [line // skeleton.num_point for line in range(count)]
    frame = frame or []
    groups = list(zip(frame, lines.person or ["0"] * count, strict=True))
    runs = [(name, len(list(run))) for (name, _), run in groupby(groups)]
    if len(runs) > len(set(groups)):
        raise ValueError(
            "the lines of a frame do not follow each other, so the order of its joints cannot be told; "
            "name the joints in a column"
        )
    V = skeleton.num_point if skeleton else runs[0][1]
    if wrong := next(((name, size) for name, size in runs if size != V), None):
        raise ValueError(
            f"frame {wrong[0]!s:.20} has {plural(wrong[1], 'line')}, not one for each of {plural(V, 'joint')}; "
            "name joints and persons in columns"
        )
    return lines._replace(frame=frame), [line % V for line in range(count)], V
