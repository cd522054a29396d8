"""Text as a table of fields: CSV of any dialect, and text with blanks between the fields; with or without a heading.

Decimal commas become points. Empty fields, `None`, `null` and NaN are missing numbers. A blank line is nothing, nor are
lines of separators alone at the end, which spreadsheets write.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

import numpy as np

from data_gen.formats.files import is_number
from data_gen.formats.headings import words_of
from graph.common.words import plural

_MISSING = {"", "none", "null", "na", "n/a", "#n/a", "-", "nan", "<na>", "-1.#ind", "1.#qnan"}
_EXCEL = re.compile(r"\s*sep=(.)\s*", re.IGNORECASE)  # its first line may name the separator
_MAX_HEADING = 5  # lines
_EXACT = 2**53  # whole numbers below this are exact
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")


class Table(NamedTuple):
    """The fields of a text file, of equal numbers a line."""

    heading: list[str] | None
    rows: list[list[str]]
    lines: list[int]  # the number of the line that each row ends on

    def words(self, column: int) -> list[str]:
        """The fields of a column; whole numbers without a point or an exponent."""
        return [plain_number(row[column]) for row in self.rows]

    def numbers(self, columns: Sequence[int]) -> np.ndarray:
        """The numbers of some columns (rows, columns); a missing one is NaN.

        Raises:
            ValueError: a field is no number.
        """
        try:
            return np.array([[_number(row[column]) for column in columns] for row in self.rows])
        except ValueError:
            for row, line in zip(self.rows, self.lines, strict=True):
                for column in columns:
                    if not _is_value(row[column]):
                        raise ValueError(f"line {line}: {row[column][:20]!a} is no number") from None
            raise

    def is_text(self, column: int) -> bool:
        """Whether no field of a column is a number, or a missing one."""
        return not any(_is_value(row[column]) for row in self.rows)


def plain_number(field: str) -> str:
    """A whole number that is written 2.0 or 2e+00 as 2; anything else as it is."""
    if not is_number(field) or field.lstrip("+-").isdecimal():
        return field
    value = float(field)
    return str(int(value)) if value.is_integer() and abs(value) < _EXACT else field


def _number(field: str) -> float:
    return float("nan") if field.lower() in _MISSING else float(field)


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
    while len(rows) > 1 and not any(rows[-1]):
        rows.pop()
        numbers.pop()
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
    while len(taken) < _MAX_HEADING and rows and any(rows[0]) and not any(map(_is_value, filter(None, rows[0]))):
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


def _is_value(field: str) -> bool:
    return is_number(field) or field.lower() in _MISSING


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
