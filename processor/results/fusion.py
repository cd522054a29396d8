"""Fusion: the weighted sum of several streams' scores, joined by sample name, and the search for its weights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from graph.common.words import few_of, plural
from processor.results.scores import Scores


def fuse(
    streams: Sequence[Scores], alpha: Sequence[float] | None = None, *, titles: Sequence[str] | None = None
) -> Scores:
    """The weighted sum of the streams' scores, sample by sample of the same name, in the first stream's order.

    Each stream has a weight in `alpha`, 1 by default; messages call the streams by `titles`.

    Raises:
        ValueError: samples, classes, labels or the number of weights do not match.
    """
    if not streams:
        raise ValueError("there are no scores to fuse")
    alpha = [1.0] * len(streams) if alpha is None else alpha
    if len(alpha) != len(streams):
        raise ValueError(
            f"alpha: {plural(len(alpha), 'weight')} for {plural(len(streams), 'stream')}; give one for each"
        )
    if not np.isfinite(alpha).all():
        raise ValueError(f"alpha: {list(alpha)} must be finite numbers")
    aligned = align(streams, titles=titles)
    return Scores(aligned[0].names, _sum(aligned, alpha), aligned[0].labels, aligned[0].class_names)


def align(streams: Sequence[Scores], *, titles: Sequence[str] | None = None) -> list[Scores]:
    """The streams in the first one's order of samples and classes, each with the labels that any of them knows.

    Classes are matched by their names where both streams know them, else by their numbers.

    Raises:
        ValueError: samples, classes or labels do not match.
    """
    titles = titles or [f"stream {i + 1}" for i in range(len(streams))]
    first, labels, source = streams[0], None, ""
    named, namer = next(
        ((s.class_names, title) for s, title in zip(streams, titles, strict=True) if s.class_names), (None, "")
    )
    taken = []
    for stream, title in zip(streams, titles, strict=True):
        require(first.names, titles[0], within=stream.names, title=title)
        require(stream.names, title, within=first.names, title=titles[0])
        if stream.scores.shape[1] != first.scores.shape[1]:
            raise ValueError(
                f"{titles[0]} has {plural(first.scores.shape[1], 'class', 'classes')}, {title} "
                f"{stream.scores.shape[1]}; fuse scores of the same task"
            )
        if named and stream.class_names and (different := sorted(set(named) ^ set(stream.class_names))):
            raise ValueError(
                f"{namer} and {title} have different classes ({few_of(different, 3)}); fuse scores of the same task"
            )
        taken.append(stream.take(first.names).in_classes(named or ()))
        known = taken[-1].labels
        if labels is None:
            labels, source = known, title
        elif known is not None and (other := np.flatnonzero(labels != known)).size:
            raise ValueError(
                f"{source} and {title} disagree about the labels of {plural(other.size, 'sample')}: "
                f"{first.names[other[0]]} is {labels[other[0]]} or {known[other[0]]}"
            )
    return [Scores(stream.names, stream.scores, labels, named) for stream in taken]


def search(streams: Sequence[Scores]) -> tuple[float, ...]:
    """The weights with the best top-1 on these samples, from a grid from 0 to 2 with the first fixed at 1.

    The grid's step is 0.1, wider for more than four streams; of equally good weights those nearest to 1 are taken.

    Raises:
        ValueError: labels are unknown, or samples, classes or labels do not match.
    """
    aligned = align(streams)
    labels, others = aligned[0].labels, len(streams) - 1
    if labels is None:
        raise ValueError("weights cannot be searched on scores without labels")
    steps = next((n for n in (20, 8, 4, 2) if (n + 1) ** others <= 10_000), 2)
    grid = [2 * i / steps for i in range(steps + 1)]

    def merit(alpha: tuple[float, ...]) -> tuple[float, float]:
        hits = (_sum(aligned, alpha).argmax(axis=1) == labels).mean()
        return float(hits), -sum(abs(weight - 1) for weight in alpha)

    return max(((1.0, *weights) for weights in itertools.product(grid, repeat=others)), key=merit)


def _sum(aligned: Sequence[Scores], alpha: Sequence[float]) -> np.ndarray:
    """(N, classes) float32, summed in float64."""
    total = np.zeros(aligned[0].scores.shape)
    for stream, weight in zip(aligned, alpha, strict=True):
        total += weight * stream.scores.astype(np.float64)
    return total.astype(np.float32)


def require(names: Sequence[str], owner: str, *, within: Sequence[str], title: str) -> None:
    """Check that `title`, which has the names `within`, has all `names` of `owner`."""
    known = set(within)
    if missing := [name for name in names if name not in known]:
        samples = plural(len(names), "sample")
        raise ValueError(f"{title} lacks {len(missing)} of the {samples} in {owner}: {few_of(missing, 3)}")
