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

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np

from data_gen.formats.files import Source, is_number, missing
from data_gen.formats.headings import Columns, columns_of, ordered, words_of
from data_gen.formats.nested import guess_channels, person_shape
from data_gen.formats.recording import Recording
from graph.channels import Channels
from graph.common.words import plural

_MISSING = {"", "none", "null", "na", "n/a", "#n/a", "-", "nan", "<na>", "-1.#ind", "1.#qnan"}
_EXCEL = re.compile(r"\s*sep=(.)\s*", re.IGNORECASE)  # its first line may name the separator
_MAX_HEADING = 5  # lines
_MOMENTS = ("time", "timestamp", "time stamp", "image", "image id", "image name", "file name", "filename")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")


class Table(NamedTuple):
    """The fields of a text file, of equal numbers a line."""

    heading: list[str] | None
    rows: list[list[str]]
    lines: list[int]  # the number of the line that each row ends on


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


def split_fields(text: str) -> Table:
    """The fields of all lines that are neither blank nor comments; an empty last column is dropped.

    Raises:
        ValueError: it is no CSV, or lines have different numbers of fields.
    """
    lines = [(number, line) for number, line in enumerate(re.split(r"\r\n?|\n", text), 1) if line.strip()]
    delimiter = None
    if lines and (told := _EXCEL.fullmatch(lines[0][1])):
        delimiter = told[1]
        lines.pop(0)
    comments = [text for _, text in takewhile(lambda line: line[1].lstrip().startswith("#"), lines)]
    lines = [line for line in lines if not line[1].lstrip().startswith("#")]
    if not lines:
        return Table(None, [], [])
    delimiter = delimiter or _delimiter(lines[min(1, len(lines) - 1)][1])
    numbers = [number for number, _ in lines]
    rows = _rows([line for _, line in lines], delimiter, numbers)
    heading = _take_heading(rows)
    if heading is None and comments:  # numpy.savetxt writes a heading as a comment
        (heading,) = _rows([comments[-1].lstrip("# ")], delimiter, [0])
        heading = heading if len(heading) == len(rows[0]) and not any(map(is_number, heading)) else None
    if heading is None and _counts_columns(rows[0]):  # pandas names columns so that have no names
        rows.pop(0)
    return _even(heading, rows, numbers[len(numbers) - len(rows) :])


def _take_heading(rows: list[list[str]]) -> list[str] | None:
    """Take the heading from the first rows: those without a number, down to the one that names x.

    Several lines become one (DeepLabCut has scorer, individuals, bodyparts and coords; pandas and merged cells of a
    spreadsheet are alike); an empty field has the name on its left. A row of the index's name alone may follow.
    """
    taken: list[list[str]] = []
    is_deep_lab_cut = bool(rows[0]) and rows[0][0].lower() == "scorer"
    while len(taken) < _MAX_HEADING and rows and any(rows[0]) and not any(map(is_number, filter(None, rows[0]))):
        taken.append(rows.pop(0))
        last = taken[-1][0].lower() == "coords" if is_deep_lab_cut else _names_x(taken[-1])
        if last:
            break
    if len(taken) < 2:
        return taken[0] if taken else None
    index = taken[-1][0]
    if rows and rows[0][0] and not any(rows[0][1:]) and not is_number(rows[0][0]):
        index = rows.pop(0)[0]
    width = max(map(len, taken))
    names = [row + [""] * (width - len(row)) for row in taken[is_deep_lab_cut:]]
    names = [*map(_filled, names[:-1]), names[-1]]
    for row in names:
        if row[0].lower() == "individuals":
            persons = list(dict.fromkeys(row[1:]))
            row[:] = ["", *(f"person {persons.index(name) + 1}" for name in row[1:])]
    heading = [" ".join(filter(None, column)) for column in zip(*names, strict=True)]
    if is_deep_lab_cut or index != taken[-1][0]:
        heading[0] = "frame" if is_deep_lab_cut else index
    return heading


def _names_x(row: Sequence[str]) -> bool:
    return any("x" in words_of(field) for field in row)


def _filled(row: Sequence[str]) -> list[str]:
    """A row whose empty fields have the text on their left."""
    filled: list[str] = []
    for text in row:
        filled.append(text or (filled[-1] if filled else ""))
    return filled


def _delimiter(line: str) -> str | None:
    """What stands between the fields of a line; None: blanks."""
    mark = next((mark for mark in ";\t|," if mark in line), None)
    if mark == "," and re.search(r"\d,\d+\s+[+-]?\d+,\d", line):
        return None  # blanks between numbers with decimal commas
    if mark == "\t" and re.search(r"\d +[-+.\d]", line):
        return None  # blanks and tabs
    return mark


def _rows(lines: Sequence[str], delimiter: str | None, numbers: Sequence[int]) -> list[list[str]]:
    """The fields of lines, decimal commas as points; `numbers` are those of the lines."""
    if delimiter is None:
        rows = [line.split() for line in lines]
    else:
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        try:
            rows = [[field.strip() for field in row] for row in reader]
        except csv.Error as error:
            raise ValueError(f"line {numbers[min(reader.line_num, len(numbers)) - 1]}: no CSV ({error})") from error
    if len(rows) != len(lines):
        raise ValueError("a quotation mark is not closed on its line")
    return [[field.replace(",", ".") if _DECIMAL_COMMA.fullmatch(field) else field for field in row] for row in rows]


def _counts_columns(row: Sequence[str]) -> bool:
    fields = row[1:] if row[0] == "" else row
    return len(fields) > 3 and list(fields) == [str(number) for number in range(len(fields))]


def _even(heading: list[str] | None, rows: list[list[str]], numbers: list[int]) -> Table:
    """The table of rows without empty columns at their ends, which a separator there makes, and of equal widths."""
    if not rows:
        return Table(heading, [], [])
    if heading:
        while not heading[-1] and not any(any(row[len(heading) - 1 :]) for row in rows):
            heading.pop()
    else:
        while len(rows[0]) > 1 and not any(row[0] for row in rows):
            rows = [row[1:] for row in rows]
    width = len(heading or rows[0])
    while not heading and width > 1 and not any(any(row[width - 1 :]) for row in rows):
        width -= 1
    for row, number in zip(rows, numbers, strict=True):
        while len(row) > width and not row[-1]:
            row.pop()
        if len(row) != width:
            where = "in the heading" if heading else f"on line {numbers[0]}"
            raise ValueError(f"line {number}: {plural(len(row), 'field')}, {width} {where}")
    return Table(heading, rows, numbers)


def _numbers(table: Table, columns: Sequence[int]) -> np.ndarray:
    """The numbers of some columns (rows, columns); a missing one is NaN."""
    try:
        return np.array([[_number(row[column]) for column in columns] for row in table.rows])
    except ValueError:
        for row, line in zip(table.rows, table.lines, strict=True):
            for column in columns:
                if row[column].lower() not in _MISSING and not is_number(row[column]):
                    raise ValueError(f"line {line}: {row[column][:20]!a} is no number") from None
        raise


def _number(field: str) -> float:
    return float("nan") if field.lower() in _MISSING else float(field)


def _with_heading(table: Table, columns: Columns, source: Source) -> Recording:
    """The recording of columns with names: a line is a frame, a person of a frame, or a joint."""
    names, M = table.heading or [], columns.num_person
    columns = _completed(columns, table)
    cells = _numbers(table, [column for place in columns.places for column in place])
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
    first = next((place for place in range(width) if not _is_text(table, place)), width)
    values = _numbers(table, range(first, width))
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


def _is_text(table: Table, column: int) -> bool:
    return not any(is_number(row[column]) or row[column].lower() in _MISSING for row in table.rows)


def _counts(values: np.ndarray) -> bool:
    """Whether values are whole numbers that grow; UTKinect writes some frames twice."""
    grows = len(values) == 1 or values[-1] > values[0]
    return bool(grows and (values == np.round(values)).all() and (np.diff(values) >= 0).all())
