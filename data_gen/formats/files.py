"""What readers share: bounded sizes, JSON, lines of numbers. An error's message is the rest of a sentence that names
the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def check_size(path: Path, max_mb: int) -> None:
    """Check a file before memory is taken for it.

    Raises:
        ValueError: the path is no regular file, or the file is larger than `max_mb`.
    """
    if not path.is_file() or path.stat().st_size > max_mb << 20:
        raise ValueError(f"it is no regular file of at most {max_mb} MB")


def read_json(path: Path, max_mb: int) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: it is no JSON, or too large.
        OSError: it cannot be read.
    """
    check_size(path, max_mb)
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: no JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:  # no Unicode; a number of thousands of digits; lists in lists
        raise ValueError("no JSON that can be read") from error


def read_numbers(line: bytes, number: int) -> list[float]:
    """The numbers of the line of this number, separated by commas; an empty field is NaN.

    Raises:
        ValueError: a field is no number.
    """
    fields = [field.strip() for field in line.split(b",")]
    if wrong := [field for field in fields if field and not is_number(field)]:
        raise ValueError(f"line {number}: {wrong[0][:20].decode('latin-1')!a} is no number")
    return [float(field or b"nan") for field in fields]


def is_number(field: bytes | str) -> bool:
    """Whether a field is a number as Python writes it."""
    try:
        float(field)
    except ValueError:
        return False
    return True
