"""What the names of recordings tell, and which of them are for validation.

A pattern such as `a{label}_s{performer}_e*` names parts of a file's name. `performer=2,4,6-8`, or a text file that
lists recordings, says which are for validation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from data_gen.common.command_line import Report
from data_gen.common.names import match, nfc
from data_gen.formats.files import natural_key, read_text
from graph.common.words import did_you_mean, plural

_FIELD = re.compile(r"\{(\w*)\}")
_HEADING = re.compile(r"^\s*(train|val|test)[^:,]*:", re.IGNORECASE | re.MULTILINE)  # PKU-MMD: Training videos:


class NamePattern:
    """A pattern of names: `{field}` stands for a part of the name that is read, `*` for any other text.

    A pattern without `/` is that of a file's name, with `/` also that of its folders. The suffix may be left out.

    Raises:
        ValueError: fields without a name, named twice, or without anything between them.
    """

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.fields = _FIELD.findall(pattern)
        if wrong := [name for name in self.fields if not name.isidentifier()]:
            raise ValueError(f"--names {pattern}: {{{wrong[0]}}} is no name of a field, such as {{label}}")
        if len(set(self.fields)) < len(self.fields) or not self.fields:
            raise ValueError(f"--names {pattern}: name at least one field, such as {{label}}, and each once")
        if "}{" in pattern:
            raise ValueError(f"--names {pattern}: nothing is between two fields, so nobody knows where one ends")
        parts = re.split(r"(\{\w+\}|\*)", nfc(pattern))
        inner = [
            f"(?P<{part[1:-1]}>[^/]+?)" if part.startswith("{") else "[^/]*?" if part == "*" else re.escape(part)
            for part in parts
        ]
        self._expression = re.compile(rf"(?:.*/)?{''.join(inner)}(?:\.\w+)?", re.IGNORECASE)

    def fields_of(self, name: str) -> dict[str, str]:
        """The fields of a recording's name; none where it is no such name."""
        match = self._expression.fullmatch(nfc(name))
        return match.groupdict() if match else {}


def validation(which: str, names: Iterable[str], pattern: NamePattern | None, report: Report) -> set[str]:
    """The names among `names` of the recordings that are for validation.

    Args:
        which: `field=values`, where a value is text, a number or `6-10`; or a text file: names of recordings for
            validation, or headings (`Training videos:`, `Validation videos:`) with names below them.

    Raises:
        ValueError: a field, a value or a name that does not occur; none or all recordings are for validation.
        OSError: the file cannot be read.
    """
    names = list(names)
    field, equals, values = which.partition("=")
    chosen = _with_values(field.strip(), values, names, pattern) if equals else _listed(Path(which), names, report)
    if not 0 < len(chosen) < len(names):
        which_part = "none" if not chosen else "all"
        raise ValueError(f"--val {which}: {which_part} of {plural(len(names), 'recording')} would be for validation")
    return chosen


def _with_values(field: str, values: str, names: list[str], pattern: NamePattern | None) -> set[str]:
    if pattern is None:
        raise ValueError(f"--val {field}={values}: give --names, which says where a name holds {field}")
    if field not in pattern.fields:
        hint = did_you_mean(field, pattern.fields)
        raise ValueError(f"--val {field}={values}: --names {pattern.text} has no field {field}{hint}")
    value_of = {name: _plain(pattern.fields_of(name).get(field, "")) for name in names}
    wanted: set[str] = set()
    for value in filter(None, (value.strip() for value in values.split(","))):
        span = re.fullmatch(r"(\d{1,6})-(\d{1,6})", value)
        some = {str(i) for i in range(int(span[1]), int(span[2]) + 1)} if span else {_plain(value)}
        if not some & set(value_of.values()):
            known = ", ".join(sorted(set(value_of.values()) - {""}, key=natural_key)[:20])
            raise ValueError(f"--val {field}={values}: no recording has {field} {value}; there are {known}")
        wanted |= some
    return {name for name, value in value_of.items() if value in wanted}


def _listed(path: Path, names: list[str], report: Report) -> set[str]:
    if not path.is_file():
        raise FileNotFoundError(f"--val {path}: there is no such file; give FIELD=VALUES or a text file of names")
    text = read_text(path, "text file of names")
    headings = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)] * bool(headings)
    parts = [text[h.end() : end] for h, end in zip(headings, ends, strict=True) if h[1].lower() != "train"]
    words = re.split(r"[,\r\n]+", ",".join(parts) if headings else text)
    pairs = match(filter(None, map(str.strip, words)), names)
    if pairs.problems:
        name, problem = next(iter(pairs.problems.items()))
        why = f" ({problem})" if problem else ""
        if not pairs.paired:
            raise ValueError(f"--val {path}: {name} is none of the recordings{why}")
        are = plural(len(pairs.problems), "name in it is none", "names in it are none")
        report.notes.append(f"--val {path}: {are} of the recordings, such as {name}{why}")
    return set(pairs.paired.values())


def _plain(value: str) -> str:
    """A value as it is compared: numbers without zeros before them, letters in lower case."""
    return str(int(value)) if value.isascii() and value.isdigit() else value.casefold()
