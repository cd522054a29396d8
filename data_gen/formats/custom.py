"""Readers of a user's own data set: a file for each sequence, and a CSV file of labels and splits.

Axis legend: T frames, M persons, V joints, C channels. A sequence is one of
- `.npy`: (T, V, C), or (T, M, V, C);
- `.json`: nested lists of these shapes, [T][V][C] or [T][M][V][C]; null is a missing number;
- `.csv`: a line for each frame, of V*C or M*V*C numbers separated by commas, person by person, joint by joint, channel
  by channel; an empty field is a missing number; a first line without any number is a heading.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_gen.common.command_line import Report
from data_gen.formats.files import check_size, is_number, read_json, read_numbers
from graph.common.words import plural

SUFFIXES = (".csv", ".json", ".npy")
PART_OF_SPLIT = {"train": "train", "val": "val", "test": "val"}
COLUMNS = ("file", "label", "split")
_MAX_MB = 64  # an hour of 20 joints in 3-D as .npy of float32 has 26 MB
_MAX_VALUE = 1e6  # far beyond any room in millimetres and any picture in pixels
_CLASS = re.compile(r"\d{1,4}", re.ASCII)  # no data set has more than 10,000 classes
_BOM = b"\xef\xbb\xbf"  # byte order mark; Excel writes it before UTF-8


def read_sequence(path: Path, num_point: int, *, channel: int | None = None) -> np.ndarray:
    """A file's joints (T, M, V, C) float64 as recorded; missing numbers are NaN.

    Args:
        path: the file; its suffix is one of `SUFFIXES`.
        num_point: V.
        channel: C; None takes it from the data, and of `.csv` assumes one person in 2-D or 3-D.

    Raises:
        ValueError: the file has another form; the message is the rest of a sentence that names it.
        OSError: the file cannot be read.
    """
    check_size(path, _MAX_MB)
    match path.suffix.lower():
        case ".npy":
            joints = _read_npy(path)
        case ".json":
            joints = _read_json(path)
        case _:
            joints = _read_csv(path, num_point, channel)
    if joints.ndim not in (3, 4) or not joints.size:
        raise ValueError(f"shape (T, V, C) or (T, M, V, C) expected, found {joints.shape}")
    if joints.shape[-2] != num_point:
        raise ValueError(f"{plural(joints.shape[-2], 'joint')} in shape {joints.shape}, the skeleton has {num_point}")
    if joints.shape[-1] < 2 or channel not in (None, joints.shape[-1]):
        raise ValueError(
            f"{plural(joints.shape[-1], 'channel')} in shape {joints.shape}, {channel or 'at least 2'} expected"
        )
    if (np.abs(joints) >= _MAX_VALUE).any():  # NaN compares false
        raise ValueError(f"a coordinate is beyond any measure ({_MAX_VALUE:g})")
    return joints if joints.ndim == 4 else joints[:, None]


def _read_npy(path: Path) -> np.ndarray:
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # a map takes no pickles
    except OSError:
        raise
    except Exception as error:  # a damaged or forged file can raise anything
        raise ValueError("it is not a complete .npy array of numbers") from error
    if array.dtype.kind not in "fiu":
        raise ValueError(f"it is an array of {array.dtype}, not of numbers")
    return np.array(array, np.float64)


def _read_json(path: Path) -> np.ndarray:
    content = read_json(path, _MAX_MB)
    try:
        return np.asarray(content, np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError("not nested lists of numbers [T][V][C] or [T][M][V][C], of equal lengths") from error


def _read_csv(path: Path, num_point: int, channel: int | None) -> np.ndarray:
    lines = path.read_bytes().removeprefix(_BOM).rstrip().splitlines()
    words = [word for word in lines[0].split(b",") if word.strip()] if lines else []
    first = int(bool(words) and not any(map(is_number, words)))  # 1 after a heading
    if len(lines) == first:
        raise ValueError("it has no frame")
    rows = [read_numbers(line, number) for number, line in enumerate(lines[first:], first + 1)]
    width = len(rows[0])
    for number, row in enumerate(rows, first + 1):
        if len(row) != width:
            raise ValueError(f"line {number}: {plural(len(row), 'number')}, {width} on line {first + 1}")
    each, rest = divmod(width, num_point)
    numbers_are = plural(width, "number a line is", "numbers a line are")
    if rest or each < 2:
        raise ValueError(f"{numbers_are} not 2 or more for each of {plural(num_point, 'joint')}")
    if channel is None and each > 3:
        raise ValueError(
            f"{numbers_are} {each} for each of {plural(num_point, 'joint')}: give their channels with --channel, "
            "the rest are persons"
        )
    channel = channel or each
    if each % channel:
        raise ValueError(f"{numbers_are} {each} for each of {plural(num_point, 'joint')}, not --channel {channel}")
    return np.array(rows).reshape(len(rows), each // channel, num_point, channel)


class Labels(NamedTuple):
    """The content of a CSV file of labels."""

    classes: list[str]  # the names of the classes
    label: dict[str, int]  # the class of each file, from 0, by the file's name
    part: dict[str, str]  # `train` or `val`, by the file's name


def read_labels(path: Path, report: Report) -> Labels:
    """Read a CSV file whose first line names the columns `file`, `label` and `split`; other columns are ignored.

    Labels are names of classes, which are numbered in sorted order, or numbers from 0. A split is train, val or test,
    which means val. Lines that cannot be used are skipped, and listed in `report`.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: the file has another form, its labels are names and numbers, or (`report.strict`) a line cannot be
            used.
    """
    lines: dict[str, int] = {}
    words: dict[str, str] = {}
    splits: dict[str, str] = {}
    for line, (name, word, split) in _rows(path, report):
        if name in lines:
            problem = f"{name} is listed on line {lines[name]} already, and that line counts"
        elif split not in PART_OF_SPLIT:
            problem = f"split {split!r} is none of {', '.join(PART_OF_SPLIT)}"
        elif not word or (is_number(word) and not _CLASS.fullmatch(word)):
            problem = f"label {word!r} is neither a name nor a whole number from 0 to 9999"
        else:
            lines[name], words[name], splits[name] = line, word, split
            continue
        report.skip(f"{path.name}, line {line}: {problem}")
    if len(both := set(splits.values()) - {"train"}) > 1:
        report.notes.append(f"{path.name} names {' and '.join(sorted(both))}: val_data_joint.npy holds both together")
    number = {word: int(word) for word in set(words.values()) if is_number(word)}
    if number and (names := sorted(set(words.values()) - set(number))):
        raise ValueError(
            f"{path}: labels are numbers ({min(number)}) and names ({names[0]}); give one kind on all lines"
        )
    classes = [str(label) for label in range(1 + max(number.values()))] if number else sorted(set(words.values()))
    number = number or {word: label for label, word in enumerate(classes)}
    return Labels(
        classes,
        {name: number[word] for name, word in words.items()},
        {name: PART_OF_SPLIT[split] for name, split in splits.items()},
    )


def _rows(path: Path, report: Report) -> Iterator[tuple[int, tuple[str, str, str]]]:
    """Line number, and file, label and split of each line; backslashes in the file's name become slashes."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such CSV file of labels ({','.join(COLUMNS)})")
    if path.stat().st_size > _MAX_MB << 20:
        raise ValueError(f"{path} has more than {_MAX_MB} MB, too much for a CSV file of labels")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: this is not UTF-8; save it again as CSV UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [word.strip().lower() for word in next(reader, [])]
        if any(header.count(column) != 1 for column in COLUMNS):
            given = ascii(",".join(header)[:80])
            raise ValueError(f"{path}: the first line must be {','.join(COLUMNS)}, separated by commas; it is {given}")
        places = [header.index(column) for column in COLUMNS]
        for row in reader:
            if len(row) == len(header):
                file, label, split = (row[place].strip() for place in places)
                yield reader.line_num, (file.replace("\\", "/"), " ".join(label.split()), split.lower())
            elif row:
                problem = f"{plural(len(row), 'field')} where the first line has {len(header)}"
                report.skip(f"{path.name}, line {reader.line_num}: {problem}")
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: no CSV ({error})") from error
