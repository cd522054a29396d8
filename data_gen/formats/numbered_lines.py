"""Reader of a text file of many recordings, as Florence 3D Actions has it (Seidenari et al., CVPR Workshops 2013).

A line is a frame: the numbers of the recording, of the actor and of the class, then x, y and z of each joint, between
blanks or commas. Recordings are called `video{number}_actor{actor}_category{class}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from data_gen.formats.files import Source, is_number
from data_gen.formats.recording import Recording
from graph.channels import Channels

NUM_HEAD = 3  # recording, actor, class


def is_numbered_lines(source: Source) -> bool:
    """Whether lines have three whole numbers and three for each joint, and the first counts recordings from 1."""
    fields = _fields(source.head.split(b"\n")[0].decode("latin-1"))
    V = source.skeleton.num_point if source.skeleton else 15
    if len(fields) != NUM_HEAD + 3 * V or not all(field.isdigit() for field in fields[:NUM_HEAD]):
        return False
    heads = [tuple(_fields(line)[:NUM_HEAD]) for line in source.lines]
    videos = list(dict.fromkeys(heads))
    return 1 < len(videos) < len(heads) and [head[0] for head in videos] == [str(n) for n in range(1, len(videos) + 1)]


def read_numbered_lines(source: Source) -> Iterator[Recording]:
    """The recordings, one after the other.

    Raises:
        ValueError: a line has another number of numbers.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(source.lines, 1):
        fields = _fields(line)
        if rows and len(fields) != len(rows[0]):
            raise ValueError(f"line {number}: {len(rows[0])} numbers expected, found {len(fields)}")
        if wrong := [field for field in fields if not is_number(field)]:
            raise ValueError(f"line {number}: {wrong[0][:20]!a} is no number")
        rows.append([float(field) for field in fields])
    table = np.array(rows)
    if not len(table) or table.shape[1] <= NUM_HEAD or (table.shape[1] - NUM_HEAD) % 3:
        raise ValueError("lines of a recording, an actor, a class, and x, y and z of each joint expected")
    ends = np.flatnonzero(np.diff(table[:, 0])) + 1
    for part in np.split(table, ends):
        video, actor, category = part[0, :NUM_HEAD].astype(int)
        name = f"video{video}_actor{actor}_category{category}"
        joints = part[:, None, NUM_HEAD:].reshape(len(part), 1, -1, 3)
        yield Recording.of(name, joints, Channels(), skeleton=source.skeleton, label=str(category))


def _fields(line: str) -> list[str]:
    return re.split(r"[,;\s]+", line.strip())
