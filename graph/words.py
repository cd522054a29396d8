"""Words of messages: counts, and letters that a terminal lacks. It lies here for every package may import `graph`."""

from __future__ import annotations

from typing import TextIO


def plural(number: int, one: str, many: str = "") -> str:
    """`number` and what it counts: "1 sample", "0 samples", "2,060 batches".

    Args:
        number: the count.
        one: the words for one.
        many: those for any other number; `one` with an s by default.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def write_line(stream: TextIO, line: str) -> None:
    """Write a line to a terminal; letters that its encoding lacks are written as their numbers, such as `\\u8df3`."""
    encoding = stream.encoding or "utf-8"
    stream.write(f"{line.encode(encoding, 'backslashreplace').decode(encoding)}\n")
