"""What recordings show, and the part that each belongs to: from a list of labels, their names, or themselves.

The content of a list of labels tells its format:

    CSV          file,label[,split,start,end] in its first line, or other words for these (path, class, subset ...)
    text         a recording and its class, a number, on each line (MMAction2)
    JSON         {recording: label}, or a list of mappings with the columns of CSV
    UTKinect     actionLabel.txt: the recording on a line (s01_e01), then its actions (walk: 252 390)
    PKU-MMD      a folder with a file for each recording, whose lines are label,start,end[,confidence]
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from data_gen.common.command_line import Report
from data_gen.common.names import files_below
from data_gen.formats.files import MAX_MB, is_number, natural_key, read_json, read_text
from data_gen.formats.splits import NamePattern
from data_gen.formats.text_fields import plain_number
from graph.common.words import plural

PART_OF_SPLIT = {"train": "train", "val": "val", "test": "val"}
_SPLITS = {"training": "train", "validation": "val", "valid": "val", "testing": "test"}  # how some write them
COLUMNS = ("file", "label")
SPLIT = "split"
_WORDS = {  # of the first line, beside these themselves
    "file": ("filename", "file_name", "path", "file_path", "filepath", "name", "video", "video_name", "recording",
             "sequence", "sample", "clip"),
    "label": ("class", "class_name", "category", "action", "activity", "label_name", "gesture"),
    SPLIT: ("subset", "set", "partition"),
}  # fmt: skip
SPAN = ("start", "end")  # further columns of recordings that show several actions
LABEL = "label"  # the field of a pattern of names that tells the class
_FRAME = re.compile(r"\d{1,9}", re.ASCII)
_CLASS = re.compile(r"\d{1,4}", re.ASCII)
_MAX_CLASS = 9999  # no data set has more than 10,000 classes
_RECORDING = re.compile(r"s\d+_e\d+")  # UTKinect
_PAIR = re.compile(r"(\S.*?)\s*[\s,;]\s*(\d{1,4})")  # a recording and its class
_ACTION = re.compile(r"(\w+):\s*(\S+)\s+(\S+)")


class Line(NamedTuple):
    """What a recording, or a part of one, shows."""

    file: str  # as the list names it
    label: int  # the class, from 0
    part: str | None  # `train` or `val`; None: not told
    span: tuple[int, int] | None = None  # first and last frame


class Told(NamedTuple):
    """What a recording tells of itself."""

    label: int | str | None
    split: str | None


class Labels(NamedTuple):
    """What recordings show."""

    classes: list[str]  # the names of the classes
    lines: dict[str, Line]  # by the name of the recording, or of its part


class _Written(NamedTuple):
    """A line as it is written."""

    place: str  # for messages
    file: str
    label: str
    split: str | None = None
    span: tuple[str, str] | None = None


def read_labels(path: Path, report: Report) -> Labels:
    """Read a list of labels.

    Labels are names of classes, which are numbered in sorted order, or in a CSV file numbers from 0. A split is train,
    val or test, which means val. `start` and `end` make a line a part of a recording: the frames with these numbers,
    both among them. Lines that cannot be used are skipped, and listed in `report`.

    Raises:
        FileNotFoundError: it is missing.
        ValueError: it has another form, its labels are names and numbers, or (`report.strict`) a line cannot be used.
    """
    if path.is_dir():
        return _numbered(_segments_in(path, report), str(path), report, numbers_are_names=True)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist; --label_path is a CSV file ({','.join((*COLUMNS, SPLIT))}), "
            "or the list that comes with a data set"
        )
    text = read_text(path, "list of labels")
    first = text.lstrip().partition("\n")[0].strip()
    if first[:1] in ("{", "["):
        return _numbered(_json_entries(path), str(path), report)
    if _PAIR.fullmatch(first):
        return _numbered(_pairs(path, text, report), str(path), report)
    if _RECORDING.fullmatch(first):
        return _numbered(_utkinect(path, text, report), str(path), report, numbers_are_names=True)
    return _numbered(_csv_lines(path, text, report), str(path), report)


def labels_in_names(pattern: NamePattern, names: Iterable[str], report: Report) -> Labels:
    """The labels that names of recordings tell; other names are counted, and left out.

    Raises:
        ValueError: the pattern has no field `label`, or no name is such.
    """
    if LABEL not in pattern.fields:
        raise ValueError(f"--names {pattern.text} has no {{{LABEL}}}; name the list of labels with --label_path")
    lines = [_Written(name, name, pattern.fields_of(name).get(LABEL, "")) for name in names]
    if left := [line.file for line in lines if not line.label]:
        if len(left) == len(lines):
            raise ValueError(f"--names {pattern.text}: no recording has such a name; {left[0]} is none")
        are = plural(len(left), "file is", "files are")
        report.notes.append(f"{are} left out, not named {pattern.text} ({left[0]} ...)")
    words: dict[object, str] = {}  # a1 and a01 are one class
    kept = [
        line._replace(label=words.setdefault(tuple(natural_key(line.label)), line.label))
        for line in lines
        if line.label
    ]
    return _numbered(kept, "the names", report, numbers_are_names=True)


def labels_in(path: Path, recordings: Mapping[str, Told], report: Report) -> Labels:
    """The labels and splits that recordings hold themselves.

    Raises:
        ValueError: one has no label, or none that can be a class.
    """
    if without := next((name for name, recording in recordings.items() if recording.label is None), None):
        raise ValueError(f"{path} holds no label of {without}; name a CSV file of labels with --label_path")
    words = {name: recording.label for name, recording in recordings.items()}
    wrong = next((x for x in words.items() if isinstance(x[1], int) and not 0 <= x[1] <= _MAX_CLASS), None)
    if wrong:
        raise ValueError(f"{path}: label {wrong[1]} of {wrong[0]} is no whole number from 0 to {_MAX_CLASS}")
    named = [word for word in words.values() if isinstance(word, str)]
    if named and len(named) < len(words):
        raise ValueError(f"{path}: labels are numbers and names ({named[0]}); give one kind")
    classes = sorted(set(named)) or [str(number) for number in range(1 + max(map(int, words.values())))]  # type: ignore[arg-type]
    lines = {}
    for name, word in words.items():
        split = recordings[name].split
        label = classes.index(word) if isinstance(word, str) else int(word or 0)
        lines[name] = Line(name, label, PART_OF_SPLIT[split] if split else None)
    _tell_joined((recording.split for recording in recordings.values()), path, report)
    return Labels(classes, lines)


def _tell_joined(splits: Iterable[str | None], source: Path, report: Report) -> None:
    if len(both := set(splits) - {"train", None}) > 1:
        named = " and ".join(sorted(filter(None, both)))
        report.notes.append(f"{source.name} names {named}: val_data_joint.npy holds both together")


def _numbered(written: Iterable[_Written], source: str, report: Report, *, numbers_are_names: bool = False) -> Labels:
    """Lines checked, and their classes numbered."""
    places: dict[str, str] = {}
    kept: dict[str, _Written] = {}
    for line in written:
        name, split = line.file, line.split
        if line.span:
            start, end = line.span
            if not all(map(_FRAME.fullmatch, line.span)) or int(start) > int(end):
                report.skip(f"{line.place}: start {start!r} and end {end!r} are not two frames in order")
                continue
            name = f"{name}:{int(start)}-{int(end)}"
        if name in kept:
            problem = f"{name} is listed on {places[name]} already, and that line counts"
        elif split is not None and split not in PART_OF_SPLIT:
            problem = f"split {split!r} is none of {', '.join(PART_OF_SPLIT)}"
        elif not line.label or (not numbers_are_names and is_number(line.label) and not _CLASS.fullmatch(line.label)):
            problem = f"label {line.label!r} is neither a name nor a whole number from 0 to 9999"
        else:
            kept[name], places[name] = line, line.place.rpartition(", ")[2]
            continue
        report.skip(f"{line.place}: {problem}")
    _tell_joined((line.split for line in kept.values()), Path(source), report)
    words = sorted({line.label for line in kept.values()}, key=natural_key if numbers_are_names else None)
    numbers = [] if numbers_are_names else [word for word in words if is_number(word)]
    if numbers and (names := [word for word in words if word not in numbers]):
        least = min(map(int, numbers))
        raise ValueError(f"{source}: labels are numbers ({least}) and names ({names[0]}); give one kind on all lines")
    classes = [str(label) for label in range(1 + max(map(int, numbers)))] if numbers else words
    number = {word: int(word) if numbers else label for label, word in enumerate(words)}
    lines = {}
    for name, line in kept.items():
        part = PART_OF_SPLIT[line.split] if line.split else None
        lines[name] = Line(line.file, number[line.label], part, line.span and (int(line.span[0]), int(line.span[1])))
    return Labels(classes, lines)


def _csv_lines(path: Path, text: str, report: Report) -> Iterator[_Written]:
    """The lines of a CSV file; backslashes in a file's name become slashes."""
    first, *rest = re.split("\r\n|\r|\n", text, maxsplit=1)
    if rest and re.fullmatch("sep=.", first):  # Excel's
        text, first = rest[0], first[-1]
    delimiter = max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = _columns(next(reader, []))
        if any(header.count(column) != 1 for column in COLUMNS) or header.count(SPLIT) > 1:
            given, wanted = ascii(",".join(header)[:80]), ",".join((*COLUMNS, SPLIT))
            raise ValueError(f"{path}: the first line must be {wanted}, separated by commas; it is {given}")
        for row in reader:
            place = f"{path.name}, line {reader.line_num}"
            if not any(map(str.strip, row)):  # a blank line, or Excel's, of commas alone
                continue
            if len(row) == len(header):
                yield _entry(place, dict(zip(header, map(str.strip, row), strict=True)))
            else:
                report.skip(f"{place}: {plural(len(row), 'field')} where the first line has {len(header)}")
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: no CSV ({error})") from error


def _columns(words: Iterable[str]) -> list[str]:
    """The names of columns in small letters; file, label and split where exactly one word stands for them."""
    names = ["_".join(word.strip().lstrip("# ").lower().split()) for word in words]
    for column, others in _WORDS.items():
        used = [name for name in names if name in others]
        if column not in names and len(used) == 1:
            names[names.index(used[0])] = column
    return names


def _entry(place: str, cell: Mapping[str, str]) -> _Written:
    """What the columns of a line say; backslashes in a file's name become slashes."""
    start, end = (plain_number(cell.get(column, "")) for column in SPAN)
    word = cell[SPLIT].lower() if SPLIT in cell else None
    split = _SPLITS.get(word, word) if word is not None else None
    label = plain_number(" ".join(cell["label"].split()))
    return _Written(place, cell["file"].replace("\\", "/"), label, split, (start, end) if start + end else None)


def _json_entries(path: Path) -> Iterator[_Written]:
    """The entries of {recording: label}, of {recording: mapping}, or of a list of mappings."""
    content = read_json(path, MAX_MB)
    if isinstance(content, dict):
        entries = [
            {"file": name, **(told if isinstance(told, dict) else {"label": told})} for name, told in content.items()
        ]
    else:
        entries = content
    for number, entry in enumerate(entries, 1):
        cell = dict(zip(_columns(entry), map(str, entry.values()), strict=True)) if isinstance(entry, dict) else {}
        if not set(COLUMNS) <= cell.keys():
            raise ValueError(f"{path}: entry {number} has no {' and '.join(COLUMNS)}")
        yield _entry(f"{path.name}, entry {number}", cell)


def _pairs(path: Path, text: str, report: Report) -> Iterator[_Written]:
    """A recording and its class on each line, as MMAction2 lists them."""
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if pair := _PAIR.fullmatch(line):
            yield _Written(f"{path.name}, line {number}", pair[1].replace("\\", "/"), pair[2])
        elif line:
            report.skip(f"{path.name}, line {number}: {line[:40]!r} is no recording and a class")


def _utkinect(path: Path, text: str, report: Report) -> Iterator[_Written]:
    """The actions of `actionLabel.txt`; s01_e01 is the file joints_s01_e01. Those that were not found are NaN there."""
    file = ""
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        place = f"{path.name}, line {number}"
        if _RECORDING.fullmatch(line):
            file = f"joints_{line}"
        elif action := _ACTION.fullmatch(line):
            label, start, end = action.groups()
            if start == end == "NaN":
                report.notes.append(f"{place}: {label} has no frames, and is left out")
            else:
                yield _Written(place, file, label, None, (start, end))
        elif line:
            report.skip(f"{place}: {line[:40]!r} is neither a recording (s01_e01) nor an action (walk: 252 390)")


def _segments_in(folder: Path, report: Report) -> Iterator[_Written]:
    """The actions in a folder of files, each named as its recording."""
    for name, path in files_below(folder).items():
        for number, line in enumerate(read_text(path, "list of actions").splitlines(), 1):
            fields = [field.strip() for field in line.split(",")]
            if 3 <= len(fields) <= 4:
                yield _Written(f"{name}, line {number}", name, fields[0], None, (fields[1], fields[2]))
            elif line.strip():
                report.skip(f"{name}, line {number}: {line[:40]!r} is no label,start,end")
