"""Fuse the scores of several streams, joined by sample name.

    python ensemble.py work_dir/s-tr/test_score.npz work_dir/t-tr/test_score.npz --alpha 1 0.6

As in the published ensemble, the fused score is the sum of the streams' logits, each times its alpha; so all files
should hold the same kind of score (every file that this project writes holds logits).
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from feeders.labels import load_labels
from processor.scores import Scores, load_scores, save_scores, top_k


def fuse(
    streams: Sequence[Scores], alpha: Sequence[float] | None = None, *, titles: Sequence[str] | None = None
) -> Scores:
    """The weighted sum of the streams' scores, sample by sample of the same name, in the first stream's order.

    Args:
        streams: scores of the same samples, in any order.
        alpha: a weight for each; 1 by default.
        titles: what messages call the streams.

    Raises:
        ValueError: samples, classes, labels or the number of weights do not match.
    """
    if not streams:
        raise ValueError("there are no scores to fuse")
    alpha = [1.0] * len(streams) if alpha is None else alpha
    if len(alpha) != len(streams):
        raise ValueError(f"alpha: {len(alpha)} weights for {len(streams)} streams; give one for each")
    if not np.isfinite(alpha).all():
        raise ValueError(f"alpha: {list(alpha)} must be finite numbers")
    aligned = align(streams, titles=titles)
    return Scores(aligned[0].names, _sum(aligned, alpha), aligned[0].labels)


def align(streams: Sequence[Scores], *, titles: Sequence[str] | None = None) -> list[Scores]:
    """The streams in the first one's order, each with the labels that any of them knows.

    Raises:
        ValueError: samples, classes or labels do not match.
    """
    titles = titles or [f"stream {i + 1}" for i in range(len(streams))]
    first, labels, source = streams[0], None, ""
    taken = []
    for stream, title in zip(streams, titles, strict=True):
        _require(first.names, titles[0], within=stream.names, title=title)
        _require(stream.names, title, within=first.names, title=titles[0])
        if stream.scores.shape[1] != first.scores.shape[1]:
            raise ValueError(
                f"{titles[0]} has {first.scores.shape[1]} classes, {title} {stream.scores.shape[1]}; "
                "fuse scores of the same task"
            )
        taken.append(stream.take(first.names))
        found = taken[-1].labels
        if labels is None:
            labels, source = found, title
        elif found is not None and (other := np.flatnonzero(labels != found)).size:
            raise ValueError(
                f"{source} and {title} disagree about the labels of {other.size} samples: {first.names[other[0]]} is "
                f"{labels[other[0]]} or {found[other[0]]}"
            )
    return [Scores(stream.names, stream.scores, labels) for stream in taken]


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


def _require(names: Sequence[str], owner: str, *, within: Sequence[str], title: str) -> None:
    """See that `title` has all names of `owner`."""
    known = set(within)
    if missing := [name for name in names if name not in known]:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ValueError(f"{title} lacks {len(missing)} of the {len(names)} samples in {owner}: {some}")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the accuracy of each stream and of their fusion; 1 and a line on stderr if they do not fit."""
    args = _parser().parse_args(argv)
    try:
        for line in _run(args):
            sys.stdout.write(f"{line}\n")
    except (ValueError, OSError) as error:
        text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else error
        sys.stderr.write(f"ensemble.py: {text}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Fuse the scores of several streams, joined by sample name.")
    parser.add_argument("scores", nargs="+", help="test_score.npz files, or published .pkl files")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--alpha", nargs="+", type=float, help="a weight for each stream; 1 by default")
    weights.add_argument(
        "--search",
        nargs="+",
        metavar="VALIDATION_SCORES",
        help="find the weights on these files, one for each stream, of samples that are not tested here",
    )
    parser.add_argument("--label", help="label file (names, labels), where the score files know no labels")
    parser.add_argument("--only", help="text file of sample names, one a line: also report top-1 on these")
    parser.add_argument("--out", help="write the fused scores to this .npz file")
    return parser


def _run(args: argparse.Namespace) -> list[str]:
    """What to print, after the fused scores are written."""
    streams = _load(args.scores, args.label)
    alpha: Sequence[float] | None = args.alpha
    lines: list[str] = []
    if args.search:
        alpha, lines = _tune(args.search, streams)
    fused = fuse(streams, alpha, titles=args.scores)
    if fused.labels is None and not args.out:
        raise ValueError("the score files know no labels; give them with --label")
    if fused.labels is not None:
        weights = [f"{weight:g}" for weight in alpha or [1.0] * len(streams)]
        rows = [*zip(args.scores, weights, streams, strict=True), ("fused", "", fused)]
        lines += _table(rows, args.only)
    if args.out:
        save_scores(args.out, fused)
        lines.append(f"fused scores are in {args.out}")
    return lines


def _load(paths: Sequence[str], label: str | None) -> list[Scores]:
    """The files' scores, aligned, with labels where these are known."""
    streams, titles = [load_scores(path) for path in paths], list(paths)
    if label:  # a stream without an opinion, so that names and labels are compared like those of the others
        names, labels = load_labels(label)
        try:
            streams.append(Scores(names, np.zeros((len(names), streams[0].scores.shape[1])), labels))
        except ValueError as error:
            raise ValueError(f"{label}: {error}") from error
        titles.append(label)
    return align(streams, titles=titles)[: len(paths)]


def _tune(paths: Sequence[str], tested: Sequence[Scores]) -> tuple[tuple[float, ...], list[str]]:
    """Weights searched on validation files, and what must be said about them."""
    if len(paths) != len(tested):
        raise ValueError(
            f"--search: {len(paths)} files for {len(tested)} streams; give one for each, in the same order"
        )
    streams = _load(paths, None)
    alpha = search(streams)
    top1 = top_k(fuse(streams, alpha).scores, streams[0].labels, 1)
    lines = [f"alpha {' '.join(f'{weight:g}' for weight in alpha)} was tuned on {', '.join(paths)}"]
    lines.append(f"  ({len(streams[0].names)} samples, where it gives top-1 {100 * top1:.2f} %)")
    if both := set(streams[0].names) & set(tested[0].names):
        lines.append(
            f"  {len(both)} of the {len(tested[0].names)} tested samples are among them: "
            "the fused figure is optimistic, for it is measured on what it was tuned on"
        )
    return alpha, lines


def _table(rows: Sequence[tuple[str, str, Scores]], only: str | None) -> list[str]:
    """Aligned lines: title, weight, top-1 and top-5 of each row's scores, and top-1 on the names of a file."""
    head = ["", "alpha", "top-1 %", "top-5 %"]
    table = [[title, weight, *(_percent(scores, k) for k in (1, 5))] for title, weight, scores in rows]
    last = rows[-1][2]
    lines = [f"{len(last.names)} samples, {last.scores.shape[1]} classes"]
    if only:
        names = _read_names(only)
        _require(names, only, within=last.names, title=rows[0][0])
        head.append(f"top-1 % of {len(names)}")
        for cells, (_, _, scores) in zip(table, rows, strict=True):
            cells.append(_percent(scores.take(names), 1))
        lines[0] += f"; {len(names)} of them in {only}"
    widths = [max(len(cells[i]) for cells in [head, *table]) for i in range(len(head))]
    for first, *others in [head, *table]:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return lines


def _percent(scores: Scores, k: int) -> str:
    return f"{100 * top_k(scores.scores, scores.labels, k):.2f}"


def _read_names(path: str) -> list[str]:
    """The names in a text file, one a line, each once."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    names = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not names:
        raise ValueError(f"{path} names no samples")
    return names


if __name__ == "__main__":
    sys.exit(main())
