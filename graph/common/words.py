"""Counts and tables in messages. They are here because every package may import `graph`."""

from __future__ import annotations

from collections.abc import Sequence


def plural(number: int, one: str, many: str = "") -> str:
    """`number` and what it counts: "1 sample", "0 samples", "2,060 batches".

    Args:
        number: the count.
        one: the words for one.
        many: those for any other number; `one` with an s by default.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table whose columns are aligned: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]) for cells in rows]
