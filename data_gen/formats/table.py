"""Tables of numbers: CSV of any dialect, and text with blanks between the numbers.

A line is a frame (`x1,y1,z1,x2,...`, the persons one after the other) or a joint (`x y z`, V lines a frame), as in

    data set         a line                                     persons, channels
    KARD             a joint, 15 a frame                        1, x y z
    MSR Action3D     a joint, 20 a frame                        1, x y z score
    UTKinect         a frame: its number, 20 joints             1, x y z
    PKU-MMD          a frame: 25 joints of two persons          2, x y z

A heading says which column is which channel of which joint (`data_gen/formats/headings.py`), and which one tells the
frame, the person or the joint of a line. Without one, the joints are those of the skeleton, in its order; of lines of
a joint each, leading columns of whole numbers may tell the frame, the person and the joint; other leading columns that
count frames or hold no numbers are left out. A file whose order cannot be told is refused.
Axis legend: L lines, T frames, M persons, V joints, C channels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data_gen.formats.arrays import guess_channels, person_shape
from data_gen.formats.files import Source, is_number
from data_gen.formats.headings import CHANNELS, SCORE_WORDS, Columns, columns_of, words_of
from data_gen.formats.lines import Lines, recording_of_lines, tells_joints
from data_gen.formats.recording import Recording
from data_gen.formats.text_fields import Table, split_fields
from graph.common.words import plural

_MOMENTS = ("time", "timestamp", "time stamp", "image", "image id", "image name", "file name", "filename")
_MAX_LEADING = 3  # frame, time, class
_MIN_STEPS = 9  # coordinates do not grow for as long


def is_table(source: Source) -> bool:
    """Whether the first bytes are text."""
    return bool(source.head) and b"\0" not in source.head


def is_records(source: Source) -> bool:
    """Whether a JSON file is a table: a list of mappings from headings to numbers or words (pandas' `records`)."""
    rows = source.json if source.is_json else None
    if not isinstance(rows, list) or len(rows) < 2 or not all(isinstance(row, dict) and row for row in rows):
        return False
    plain = all(value is None or isinstance(value, int | float | str) for row in rows for value in row.values())
    names = {" ".join(words_of(heading)) for heading in rows[0]}
    return plain and any("x" in name.split() for name in names) and bool(names - {*CHANNELS, *SCORE_WORDS, "presence"})


def read_records(source: Source) -> Iterator[Recording]:
    """A recording; errors as `read_table`."""
    heading = list(dict.fromkeys(name for row in source.json for name in row))
    rows = [["" if row.get(name) is None else str(row[name]) for name in heading] for row in source.json]
    yield _with_heading(Table(heading, rows, list(range(1, len(rows) + 1))), heading, source)


def read_table(source: Source) -> Iterator[Recording]:
    """A recording; errors as `Recording.of`, or a line that does not fit, or columns whose order cannot be told."""
    table = split_fields(source.text)
    if not table.rows:
        raise ValueError("it has no frame")
    if table.heading:
        yield _with_heading(table, table.heading, source)
    else:
        yield _without_heading(table, source)


def _with_heading(table: Table, heading: list[str], source: Source) -> Recording:
    """The recording of columns with names: a line is a frame, a person of a frame, or a joint."""
    columns = columns_of(heading, source.skeleton)
    M, C = columns.num_person, len(columns.names)
    V = len(columns.places) // M
    if source.channel not in (None, C):
        raise ValueError(f"its heading names the channels {', '.join(columns.names)}, not --channel {source.channel}")
    if not columns.line_is_joint and columns.skeleton and columns.skeleton.num_point != V:
        raise ValueError(f"its heading names {plural(V, 'joint')}, the skeleton has {columns.skeleton.num_point}")
    if columns.person is not None and M > 1:
        raise ValueError("its heading names several persons, and a column too")
    known = _completed(table, columns, heading)
    roles = {"frame": known.frame, "person": known.person, "joint": known.joint}
    words: dict[str, Any] = {role: table.words(column) for role, column in roles.items() if column is not None}
    if known.frame != columns.frame:  # moments have an order, but no numbers
        words["frame"] = [float(word) if is_number(word) else word for word in words["frame"]]
    cells = table.numbers([column for place in columns.places for column in place]).reshape(-1, M, V, C)
    left_out = [heading[column] or f"number {column + 1}" for column in known.extra]
    notes = (f"left out the columns {', '.join(left_out)}",) if left_out else ()
    lines = Lines(cells, columns.names, columns.skeleton, is_joint=columns.line_is_joint, **words)
    return recording_of_lines(source, lines, notes)


def _completed(table: Table, columns: Columns, heading: Sequence[str]) -> Columns:
    """The columns, and what those without a role tell.

    Where several lines are of the same moment, a time or picture is the frame, and `id` the person. A column of any
    heading is the joint where its words are the joints, once in each frame.
    """
    headed = {" ".join(words_of(heading[column])): column for column in reversed(columns.extra)}
    count, V = len(table.rows), columns.skeleton.num_point if columns.skeleton else 1

    def words(column: int | None) -> Sequence[str]:
        return [""] * count if column is None else table.words(column)

    def among(names: Sequence[str]) -> int | None:
        return next((headed[name] for name in names if name in headed), None)

    several, moment = len(set(words(columns.person))) > 1, among(_MOMENTS)
    if columns.frame is None and (several or (columns.line_is_joint and len(set(words(moment))) < count)):
        columns = columns._replace(frame=moment)
    if columns.frame is None and several:
        raise ValueError(f"its lines are persons ({heading[columns.person or 0]}), and no column counts the frames")
    if columns.frame is not None and columns.person is None:
        each = Counter(zip(words(columns.frame), words(columns.joint), strict=True)).values()
        if max(each) > (V if columns.line_is_joint and columns.joint is None else 1):
            columns = columns._replace(person=among(("id", "pid")))
    if columns.line_is_joint and columns.joint is None:
        frame = [line // V for line in range(count)] if columns.frame is None else words(columns.frame)
        groups = list(zip(frame, words(columns.person), strict=True))
        telling = (column for column in columns.extra if tells_joints(words(column), groups, columns.skeleton))
        columns = columns._replace(joint=next(telling, None))
    used = (columns.frame, columns.person, columns.joint)
    return columns._replace(extra=[column for column in columns.extra if column not in used])


def _without_heading(table: Table, source: Source) -> Recording:
    """The recording of numbers in the skeleton's order."""
    if source.skeleton is None:
        raise ValueError("it has no heading, so only a skeleton tells how many joints a line has")
    V, width = source.skeleton.num_point, len(table.rows[0])
    numbers = [column for column in range(width) if not table.is_text(column)]
    if len(numbers) < 2 * V:
        return _joint_a_line(table, source, V)
    values, frames = table.numbers(numbers), None
    notes = _no_numbers([column for column in range(width) if column not in numbers])
    if (count := _frame_column(values, rest := values.shape[1] % V)) is not None:
        frames, values = values[:, count].astype(np.int64), values[:, rest:]
        others = ", ".join(str(numbers[column] + 1) for column in range(rest) if column != count)
        notes = (*notes, f"left out column {numbers[count] + 1}, the numbers of frames{others and f', and {others}'}")
    elif rest and _are_leading(values, rest) and (rest == 1 or np.diff(values[:, :rest], axis=0).any()):
        values = values[:, rest:]
        named = ", ".join(str(column + 1) for column in numbers[:rest])
        told = "columns {}, which stay the same or grow" if rest > 1 else "column {}, which stays the same or grows"
        notes = (*notes, f"left out {told.format(named)} as time does")
    joints_of = values.reshape(len(values), *person_shape(values, source))
    return Recording.of(source.name, joints_of, guess_channels(joints_of), notes=notes, frames=frames)


def _joint_a_line(table: Table, source: Source, V: int) -> Recording:
    """The recording of lines of a joint each, V lines a frame."""
    count, width = len(table.rows), len(table.rows[0])
    roles, first = _leading(table, V, source)
    C = width - first
    lines = plural(count, f"line of {plural(C, 'number')} is", f"lines of {plural(C, 'number')} are")
    if count % V or C < 2:
        raise ValueError(f"{lines} neither frames nor joints of {V} a frame")
    wrong = next((c for c in range(first, width - 2) if c in roles.values() or _is_counter(table, c)), None)
    if wrong is not None:
        raise ValueError(
            f"column {wrong + 1} counts, but whether frames, persons or joints cannot be told; "
            "name the columns in a heading"
        )
    if source.channel not in (None, C):
        raise ValueError(f"{lines} not --channel {source.channel}")
    if C > 4:
        raise ValueError(f"{lines} not x y, x y z or x y z score of a joint")
    notes = _no_numbers([column for column in range(first) if column not in roles.values()])
    if roles:
        taken = (f"column {column + 1} for the {role}" for role, column in sorted(roles.items(), key=lambda x: x[1]))
        notes = (*notes, f"took {', '.join(taken)}")
    words: dict[str, Any] = {role: table.words(column) for role, column in roles.items()}
    cells = table.numbers(range(first, width))[:, None, None]
    return recording_of_lines(source, Lines(cells, (), source.skeleton, is_joint=True, **words), notes)


def _leading(table: Table, V: int, source: Source) -> tuple[dict[str, int], int]:
    """The first columns that tell the frame, the person or the joint, and the first of the numbers.

    In each V lines the joint's column has each joint, and the others have one whole number, which counts the frames.
    """
    count, width = len(table.rows), len(table.rows[0])
    blocks, roles = [line // V for line in range(count)], {}
    for column in range(width - 2):
        if "joint" not in roles and tells_joints(table.words(column), blocks, source.skeleton):
            roles["joint"] = column
    for column in range(width - 2):
        if column == roles.get("joint") or table.is_text(column):
            continue
        values = table.numbers([column])[:, 0]
        is_one = count % V == 0 and _are_whole(values) and not np.diff(values.reshape(-1, V)).any()
        if is_one and "frame" not in roles and _counts(values[::V]) and (count > V or "joint" in roles):
            if roles.get("joint", width) < column and set(table.words(column)) == set(table.words(roles["joint"])):
                return {}, 0  # the lines may be sorted by joint, too
            roles["frame"] = column
        elif is_one and "person" not in roles and roles:
            roles["person"] = column
        else:
            return roles, column
    return roles, max(width - 2, 0)


def _no_numbers(columns: Sequence[int]) -> tuple[str, ...]:
    named = ", ".join(str(column + 1) for column in columns)
    return (f"left out column{'s' * (len(columns) > 1)} {named}, no numbers",) if columns else ()


def _are_whole(values: np.ndarray) -> bool:
    return bool((values == np.round(values)).all())


def _counts(values: np.ndarray) -> bool:
    """Whether values are whole numbers that grow; UTKinect writes some frames twice."""
    grows = len(values) == 1 or values[-1] > values[0]
    return bool(grows and _are_whole(values) and (np.diff(values) >= 0).all())


def _frame_column(values: np.ndarray, rest: int) -> int | None:
    """Which of the `rest` first columns counts the frames, if the others are times or stay the same.

    None: they are no such columns, or the last ones may be, too.
    """
    if rest > 1 and not _are_leading(values, rest):
        return None
    return next((column for column in range(rest) if _counts(values[:, column])), None)


def _are_leading(values: np.ndarray, rest: int) -> bool:
    """Whether the first `rest` columns, and not the last ones, are those of a class or an index."""
    first, last = (all(map(_is_index, columns.T)) for columns in (values[:, :rest], values[:, -rest:]))
    return rest <= _MAX_LEADING and len(values) > 2 and first and not last


def _is_index(values: np.ndarray) -> bool:
    """Whether values are those of a class or an index rather than coordinates: they stay, or grow in regular steps."""
    steps = np.diff(values)
    if not steps.any():
        return _are_whole(values)
    is_regular = len(steps) > 1 and np.ptp(steps) <= 0.1 * steps.mean()
    return bool(is_regular or (len(steps) >= _MIN_STEPS and (steps >= 0).all()))


def _is_counter(table: Table, column: int) -> bool:
    """Whether whole numbers stay, go up by one, or begin again, as no coordinates do."""
    values = table.numbers([column])[:, 0]
    begins, steps = values[1:] == values.min(), np.diff(values)
    return bool(_are_whole(values) and steps.any() and (begins | (steps == 0) | (steps == 1)).all())
