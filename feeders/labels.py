"""Sample names and labels: read from a pickle that need not be trusted, and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from feeders.untrusted import load_pickle
from graph.common.words import plural


def load_labels(path: str | Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and labels (N,) int64 of a `{part}_label.pkl`, a pickle of (names, labels).

    Raises:
        ValueError: it holds anything else.
        OSError: the file cannot be read.
    """
    content = load_pickle(path)
    try:
        if not isinstance(content, list | tuple) or len(content) != 2:
            raise ValueError("a pair of names and labels is expected")
        names = checked_names(content[0])
        return names, checked_labels(content[1], names)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def checked_names(names: Any) -> tuple[str, ...]:
    """`names` as a tuple of text.

    Raises:
        ValueError: they are something else, none, or not all different.
    """
    if not isinstance(names, list | tuple | np.ndarray) or not all(isinstance(name, str) for name in names):
        raise ValueError("sample names must be a list of text")
    names = tuple(map(str, names))  # numpy's text too
    if not names:
        raise ValueError("there are no samples")
    (name, count), *_ = Counter(names).most_common(1)
    if count > 1:
        raise ValueError(f"the sample {name!r} occurs {count} times ({len(names)} names, {len(set(names))} different)")
    return names


def checked_labels(labels: Any, names: Sequence[str]) -> np.ndarray:
    """`labels` as an array (N,) int64, one a name.

    Raises:
        ValueError: they are something else.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "iu" or array.shape != (len(names),):
        raise ValueError(f"labels must be {plural(len(names), 'whole number')}, one a sample name")
    return array.astype(np.int64)
