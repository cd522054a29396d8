"""Counts in messages. They are here because every package may import `graph`."""

from __future__ import annotations


def plural(number: int, one: str, many: str = "") -> str:
    """`number` and what it counts: "1 sample", "0 samples", "2,060 batches".

    Args:
        number: the count.
        one: the words for one.
        many: those for any other number; `one` with an s by default.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
