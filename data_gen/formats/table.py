"""Tables of numbers: CSV of any dialect, and text with blanks between the numbers.

A line is a frame (`x1,y1,z1,x2,...`, the persons one after the other) or a joint (`x y z`, V lines a frame), as in

    data set         a line                                     persons, channels
    KARD             a joint, 15 a frame                        1, x y z
    MSR Action3D     a joint, 20 a frame                        1, x y z score
    UTKinect         a frame: its number, 20 joints             1, x y z
    PKU-MMD          a frame: 25 joints of two persons          2, x y z

A heading says which column is which channel of which joint (`data_gen/formats/headings.py`). Without one, the joints
are those of the skeleton, in its order; leading columns that count frames or hold no numbers are left out. Empty
fields, `None`, `null` and NaN are missing numbers; a blank line is nothing.
Axis legend: T frames, M persons, V joints, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data_gen.formats.arrays import guess_channels, person_shape
from data_gen.formats.files import Source, is_number, missing
from data_gen.formats.headings import Columns, columns_of, ordered, words_of
from data_gen.formats.recording import Recording
from data_gen.formats.text_fields import Table, is_text, numbers_of, split_fields
from graph.channels import Channels
from graph.common.words import plural

_MOMENTS = ("time", "timestamp", "time stamp", "image", "image id", "image name", "file name", "filename")


def is_table(source: Source) -> bool:
    """Whether the first bytes are text."""
    return bool(source.head) and (source.head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" not in source.head)


def read_table(source: Source) -> Iterator[Recording]:
    """A recording; errors as `Recording.of`, or a line that does not fit, or columns whose order cannot be told."""
    table = split_fields(source.text)
    if not table.rows:
        raise ValueError("it has no frame")
    if table.heading:
        yield _with_heading(table, columns_of(table.heading, source.skeleton), source)
    else:
        yield _without_heading(table, source)


def _with_heading(table: Table, columns: Columns, source: Source) -> Recording:
    """The recording of columns with names: a line is a frame, a person of a frame, or a joint."""
    names, M = table.heading or [], columns.num_person
    columns = _completed(columns, table)
    cells = numbers_of(table, [column for place in columns.places for column in place])
    C = len(columns.names)
    if source.channel not in (None, C):
        raise ValueError(f"its heading names the channels {', '.join(columns.names)}, not --channel {source.channel}")
    frames = _ranks(table, columns.frame) if columns.frame is not None else list(range(len(cells)))
    persons = _ranks(table, columns.person) if columns.person is not None else [0] * len(cells)
    left_out = [names[column] or f"number {column + 1}" for column in columns.extra]
    if columns.joint is None:
        left_out = [names[column] for column in (columns.frame, columns.person) if column is not None] + left_out
    notes = (f"left out the columns {', '.join(left_out)}",) if left_out else ()
    is_bare = len(columns.places) == 1 and len(words_of(names[columns.places[0][0]])) == 1  # x, y without a joint
    if columns.joint is None and is_bare and source.skeleton:
        return _joint_a_line(cells, source, notes)
    order = [0] * len(cells)
    if columns.joint is not None:
        words = [row[columns.joint] for row in table.rows]
        place = {word: place for place, word in enumerate(ordered(dict.fromkeys(words), source.skeleton))}
        order, V = [place[word] for word in words], len(place)
    else:
        V = len(columns.places) // M
    if source.skeleton and source.skeleton.num_point != V:
        raise ValueError(f"its heading names {plural(V, 'joint')}, the skeleton has {source.skeleton.num_point}")
    if len(set(zip(frames, persons, order, strict=True))) < len(cells):
        raise ValueError("two lines are of the same frame and person")
    if columns.person is not None and M > 1:
        raise ValueError("its heading names several persons, and a column too")
    M = max(M, 1 + max(persons))
    array = missing((1 + max(frames), M, V, C))
    if columns.joint is not None:
        array[frames, persons, order] = cells
    elif columns.person is not None:
        array[frames, persons] = cells.reshape(-1, V, C)
    else:
        array[frames] = cells.reshape(-1, M, V, C)
    identity = None
    if columns.person is not None:
        identity = np.where(np.isnan(array).all(axis=(2, 3)), -1, np.arange(M))
    channels = Channels(columns.names, guess_channels(array).unit if "z" not in columns.names else "unknown")
    numbers = None
    if columns.frame is not None and all(row[columns.frame].isdecimal() for row in table.rows):
        numbers = np.unique([int(row[columns.frame]) for row in table.rows])
    return Recording.of(source.name, array, channels, identity=identity, notes=notes, frames=numbers)


def _completed(columns: Columns, table: Table) -> Columns:
    """A time or picture as the frame, and `id` as the person, where several lines are of the same moment."""
    words = {column: " ".join(words_of((table.heading or [])[column])) for column in columns.extra}

    def among(names: Sequence[str]) -> int | None:
        return next((column for column, name in words.items() if name in names), None)

    several = columns.person is not None and len({row[columns.person] for row in table.rows}) > 1
    if columns.frame is None and (several or columns.joint is not None):
        if (frame := among(_MOMENTS)) is None:
            what = (table.heading or [])[columns.joint if columns.joint is not None else columns.person or 0]
            lines = "joints" if columns.joint is not None else "persons"
            raise ValueError(f"its lines are {lines} ({what}), and no column counts the frames")
        columns = columns._replace(frame=frame)
    elif columns.frame is not None and columns.person is None and columns.joint is None:
        frames = [row[columns.frame] for row in table.rows]
        if len(set(frames)) < len(frames):
            columns = columns._replace(person=among(("id", "pid")))
    used = (columns.frame, columns.person)
    return columns._replace(extra=[column for column in columns.extra if column not in used])


def _ranks(table: Table, column: int) -> list[int]:
    """The rank of each row's value in a column: by number, or else by first appearance."""
    words = [row[column] for row in table.rows]
    values: list[Any] = [float(word) for word in words] if all(map(is_number, words)) else words
    different = list(dict.fromkeys(values))
    rank = {value: place for place, value in enumerate(sorted(different) if values is not words else different)}
    return [rank[value] for value in values]


def _without_heading(table: Table, source: Source) -> Recording:
    """The recording of numbers in the skeleton's order."""
    if source.skeleton is None:
        raise ValueError("it has no heading, so only a skeleton tells how many joints a line has")
    V, width = source.skeleton.num_point, len(table.rows[0])
    first = next((place for place in range(width) if not is_text(table, place)), width)
    values = numbers_of(table, range(first, width))
    width = values.shape[1]
    notes = (f"left out column{'s' * (first > 1)} 1{f' to {first}' * (first > 1)}, no numbers",) if first else ()
    if width <= 5 and width < 2 * V:
        return _joint_a_line(values, source, notes)
    counted = width % V == 1 and _counts(values[:, 0])
    frames = values[:, 0].astype(np.int64) if counted else None
    if counted:
        values, notes = values[:, 1:], (*notes, f"left out column {first + 1}, the numbers of frames")
    joints_of = values.reshape(len(values), *person_shape(values, source))
    return Recording.of(source.name, joints_of, guess_channels(joints_of), notes=notes, frames=frames)


def _joint_a_line(values: np.ndarray, source: Source, notes: tuple[str, ...]) -> Recording:
    V = source.skeleton.num_point if source.skeleton else 0
    T, rest = divmod(len(values), V)
    width = int(values.shape[1])
    lines = plural(len(values), f"line of {plural(width, 'number')} is", f"lines of {plural(width, 'number')} are")
    if rest or width < 2:
        raise ValueError(f"{lines} neither frames nor joints of {V} a frame")
    blocks: np.ndarray = values.reshape(T, V, width)
    if width > 2 and (blocks[:, :, 0] == blocks[:, :1, 0]).all() and _counts(blocks[:, 0, 0]) and T > 1:
        blocks, notes = blocks[:, :, 1:], (*notes, "left out the numbers of frames")
    if source.channel not in (None, blocks.shape[-1]):
        raise ValueError(f"{lines} not --channel {source.channel}")
    if blocks.shape[-1] > 4:
        raise ValueError(f"{lines} not x y, x y z or x y z score of a joint")
    return Recording.of(source.name, blocks[:, None], guess_channels(blocks), notes=notes)


def _counts(values: np.ndarray) -> bool:
    """Whether values are whole numbers that grow; UTKinect writes some frames twice."""
    grows = len(values) == 1 or values[-1] > values[0]
    return bool(grows and (values == np.round(values)).all() and (np.diff(values) >= 0).all())
