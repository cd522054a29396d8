"""Words of messages: counts, aligned tables, and the nearest known name to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def plural(number: int, one: str, many: str = "") -> str:
    """`number` and what it counts: "1 sample", "0 samples", "2,060 batches"; `many` is `one` with an s by default."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def few_of(words: Iterable[str], most: int, between: str = ", ") -> str:
    """The first of `words`, `most` of them, and the number of those that are left out: "a, b and 3 more"."""
    words = list(words)
    more = f" and {len(words) - most:,} more" if len(words) > most else ""
    return between.join(words[:most]) + more


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table whose columns are aligned: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]) for cells in rows]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The words " (did you mean 'x'?)" with the name of `known` that is nearest to `word`, or "" if none is near.

    Upper and lower case count as equal.
    """
    spelling = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), list(spelling), n=1)
    return f" (did you mean {spelling[near[0]]!r}?)" if near else ""
