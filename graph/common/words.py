"""Words of messages: counts, and the nearest known name to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def plural(number: int, one: str, many: str = "") -> str:
    """`number` and what it counts: "1 sample", "0 samples", "2,060 batches".

    Args:
        number: the count.
        one: the words for one.
        many: those for any other number; `one` with an s by default.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The words " (did you mean 'x'?)" with the name of `known` that is nearest to `word`, or "" if none is near.

    Upper and lower case count as equal.
    """
    spelling = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), list(spelling), n=1)
    return f" (did you mean {spelling[near[0]]!r}?)" if near else ""
