"""The CSV file of labels and splits of a user's own data set: which file shows what, and which part it belongs to."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from data_gen.common.command_line import Report
from data_gen.formats.files import MAX_MB, is_number
from data_gen.formats.recording import Recording
from graph.common.words import plural

PART_OF_SPLIT = {"train": "train", "val": "val", "test": "val"}
COLUMNS = ("file", "label", "split")
SPAN = ("start", "end")  # further columns of recordings that show several actions
_FRAME = re.compile(r"\d{1,9}", re.ASCII)
_CLASS = re.compile(r"\d{1,4}", re.ASCII)  # no data set has more than 10,000 classes


class Labels(NamedTuple):
    """The content of a CSV file of labels."""

    classes: list[str]  # the names of the classes
    label: dict[str, int]  # the class of each file, from 0, by the file's name
    part: dict[str, str]  # `train` or `val`, by the file's name
    span: dict[str, tuple[str, int, int]]  # file, first and last frame, by the name of a part of a recording


def read_labels(path: Path, report: Report) -> Labels:
    """Read a CSV file whose first line names the columns `file`, `label` and `split`; other columns are ignored.

    Columns `start` and `end` make a line a part of a recording: the frames with these numbers, both among them.

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
    spans: dict[str, tuple[str, int, int]] = {}
    for line, (name, word, split, *span) in _rows(path, report):
        if any(span):
            if not all(map(_FRAME.fullmatch, span)) or int(span[0]) > int(span[1]):
                report.skip(
                    f"{path.name}, line {line}: start {span[0]!r} and end {span[1]!r} are not two frames in order"
                )
                continue
            file, (first, last) = name, map(int, span)
            name = f"{file}:{first}-{last}"
            spans[name] = file, first, last
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
        {name: span for name, span in spans.items() if name in words},
    )


def labels_in(path: Path, recordings: Mapping[str, Recording], report: Report) -> Labels:
    """The labels and splits that recordings hold themselves.

    Raises:
        ValueError: one has no label.
    """
    if without := next((name for name, recording in recordings.items() if recording.label is None), None):
        raise ValueError(f"{path} holds no label of {without}; name a CSV file of labels with --label_path")
    words = {name: recording.label for name, recording in recordings.items()}
    named = [word for word in words.values() if isinstance(word, str)]
    if named and len(named) < len(words):
        raise ValueError(f"{path}: labels are numbers and names ({named[0]}); give one kind")
    classes = sorted(set(named)) or [str(number) for number in range(1 + max(map(int, words.values())))]  # type: ignore[arg-type]
    if all(recording.split is None for recording in recordings.values()):
        report.notes.append(f"{path.name} has no splits that are one train and one val: all its recordings are train")
    return Labels(
        classes,
        {name: classes.index(word) if isinstance(word, str) else int(word or 0) for name, word in words.items()},
        {name: PART_OF_SPLIT[recording.split or "train"] for name, recording in recordings.items()},
        {},
    )


def _rows(path: Path, report: Report) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line number, and file, label, split, start, end of each line; backslashes in a file's name become slashes."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such CSV file of labels ({','.join(COLUMNS)})")
    if path.stat().st_size > MAX_MB << 20:
        raise ValueError(f"{path} has more than {MAX_MB} MB, too much for a CSV file of labels")
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
        places = [header.index(column) for column in (*COLUMNS, *(SPAN if set(SPAN) <= set(header) else ()))]
        for row in reader:
            if len(row) == len(header):
                file, label, split, *span = (row[place].strip() for place in places)
                yield reader.line_num, (file.replace("\\", "/"), " ".join(label.split()), split.lower(), *span)
            elif row:
                problem = f"{plural(len(row), 'field')} where the first line has {len(header)}"
                report.skip(f"{path.name}, line {reader.line_num}: {problem}")
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: no CSV ({error})") from error
