"""Fuse the scores of several streams, joined by sample name.

    python ensemble.py work_dir/s-tr work_dir/t-tr --alpha 1 0.6

A stream is the folder of a run, which holds its `test_score.npz`, or a file of scores. As in the published ensemble,
the fused score is the sum of the streams' logits, each times its alpha; so all files should hold the same kind of score
(every file that this project writes holds logits).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from data_gen.common.command_line import expand, printing_anything
from data_gen.formats.files import is_number
from feeders.arrays import load_labels
from graph.common.words import plural, table
from processor.results.fusion import align, fuse, require, search
from processor.results.scores import SCORE, Scores, load_scores, save_scores, score_file
from processor.runtime.failure import sentence

ALPHA = "--alpha"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the accuracy of each stream and of their fusion; 1 and a line on stderr if they do not fit."""
    args = _parser().parse_intermixed_args(_weights_apart(sys.argv[1:] if argv is None else argv))
    with printing_anything():
        try:
            for line in _run(args):
                sys.stdout.write(f"{line}\n")
        except (ValueError, OSError) as error:
            sys.stderr.write(f"ensemble.py: {sentence(error)}\n")
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        usage="%(prog)s STREAM [STREAM ...] [--alpha WEIGHT ... | --search STREAM ...] [--label FILE] [--only FILE] "
        "[--out FILE]",
        description="Fuse the scores of several streams, joined by sample name.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "scores",
        nargs="*",
        metavar="STREAM",
        type=_path,
        help=f"folders of runs, which hold {SCORE}; or .npz files, or published .pkl files",
    )
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        ALPHA,
        action="append",
        type=float,
        metavar="WEIGHT",
        help="a weight for each stream, such as --alpha 1 0.6; 1 by default",
    )
    weights.add_argument(
        "--search",
        nargs="+",
        type=_path,
        metavar="STREAM",
        help="find the weights on these scores of other samples (validation data), one for each STREAM in order",
    )
    parser.add_argument(
        "--label", metavar="FILE", type=_path, help="label file (names, labels), if the score files hold no labels"
    )
    parser.add_argument(
        "--only",
        metavar="FILE",
        type=_path,
        help="text file with one sample name a line: also print top-1 on these samples",
    )
    parser.add_argument("--out", metavar="FILE", type=_path, help="write the fused scores to this .npz file")
    return parser


def _path(word: str) -> str:
    """A path as it is written, or with `~` and variables of the environment expanded."""
    try:
        return word if os.path.lexists(word) else expand(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}") from error


def _weights_apart(argv: Sequence[str]) -> list[str]:
    """`--alpha 1 0.6 A` as `--alpha=1 --alpha=0.6 A`: argparse would take A for a weight, too, and -1e-3 for none."""
    words: list[str] = []
    inside = False
    for place, word in enumerate(argv):
        if word == "--":
            words += argv[place:]
            break
        is_weight = inside and is_number(word)
        inside = is_weight or word == ALPHA or word.startswith(f"{ALPHA}=")
        words.append(f"{ALPHA}={word}" if is_weight else word)
    return [word for word, after in pairwise([*words, ""]) if word != ALPHA or not after.startswith(f"{ALPHA}=")]


def _run(args: argparse.Namespace) -> list[str]:
    """What to print, after the fused scores are written."""
    paths, searched = _streams(args)
    if args.out:
        _check_out(args.out, [*paths, *searched])
    streams = _load(paths, args.label)
    alpha: Sequence[float] | None = args.alpha
    lines: list[str] = []
    if searched:
        alpha, lines = _tune(searched, streams)
    fused = fuse(streams, alpha, titles=paths)
    if fused.labels is None and (args.only or not args.out):
        raise ValueError("the score files know no labels; give them with --label")
    if fused.labels is not None:
        weights = [f"{weight:g}" for weight in alpha or [1.0] * len(streams)]
        rows = [*zip(paths, weights, streams, strict=True), ("fused", "", fused)]
        lines += _table(rows, args.only)
    if args.out:
        try:
            save_scores(args.out, fused)
        except OSError as error:
            raise ValueError(f"--out: {args.out} cannot be written: {error.strerror or error}") from error
        lines.append(f"fused scores are in {args.out}")
    return lines


def _streams(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The streams' paths, and those of --search; after the latter, argparse has taken all for its."""
    paths, searched = args.scores, args.search or []
    if searched and not paths and len(searched) % 2 == 0:
        half = len(searched) // 2
        paths, searched = searched[half:], searched[:half]
    if args.alpha and not paths:
        raise ValueError(
            "name the folders of runs, or files of scores; numbers after --alpha are weights, so that a file 1 is ./1"
        )
    if not paths and not searched:
        raise ValueError("name the folders of runs, or files of scores")
    if searched and len(searched) != len(paths):
        raise ValueError(
            f"--search: {plural(len(searched), 'file')} for {plural(len(paths), 'stream')}; give one for each, in the "
            "same order, and all streams on one side of it"
        )
    return paths, searched


def _check_out(out: str, read: Sequence[str]) -> None:
    """See that `out` is a name for a new file, or for one that holds no stream."""
    path = Path(out)
    if path.is_dir():
        raise ValueError(f"--out: {out} is a folder; name a file in it, such as {path / 'fused.npz'}")
    if path.is_symlink():
        raise ValueError(f"--out: {out} is a symbolic link; name what it stands for, {path.resolve()}")
    if path.suffix.lower() != ".npz":
        raise ValueError(f"--out: {out} does not end in .npz; name it {path.with_suffix('.npz').name}")
    if path.resolve() in [score_file(Path(each)).resolve() for each in read]:
        raise ValueError(f"--out: {out} is one of the files that are read; name another")


def _load(paths: Sequence[str], label: str | None) -> list[Scores]:
    """The files' scores, aligned, with labels where these are known."""
    streams, titles = [load_scores(score_file(Path(path))) for path in paths], list(paths)
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
    streams = _load(paths, None)
    alpha = search(streams)
    top1 = fuse(streams, alpha).top_k(1)
    lines = [f"alpha {' '.join(f'{weight:g}' for weight in alpha)} was tuned on {', '.join(paths)}"]
    lines.append(f"  ({plural(len(streams[0].names), 'sample')}, where it gives top-1 {100 * top1:.2f} %)")
    if both := set(streams[0].names) & set(tested[0].names):
        lines.append(
            f"  {len(both)} of the {plural(len(tested[0].names), 'tested sample')} "
            f"{'is' if len(both) == 1 else 'are'} among them: "
            "the fused figure is optimistic, for it is measured on what it was tuned on"
        )
    return alpha, lines


def _table(rows: Sequence[tuple[str, str, Scores]], only: str | None) -> list[str]:
    """Aligned lines: title, weight, top-1, top-5 of more classes than five, and top-1 on the names of a file."""
    last = rows[-1][2]
    ranks = (1, 5) if last.scores.shape[1] > 5 else (1,)
    head = ["", "alpha", *(f"top-{k} %" for k in ranks)]
    cells = [[title, weight, *(_percent(scores, k) for k in ranks)] for title, weight, scores in rows]
    lines = [f"{plural(len(last.names), 'sample')}, {plural(last.scores.shape[1], 'class', 'classes')}"]
    if only:
        names = _read_names(only)
        require(names, only, within=last.names, title=rows[0][0])
        head.append(f"top-1 % of {len(names)}")
        for row, (_, _, scores) in zip(cells, rows, strict=True):
            row.append(_percent(scores.take(names), 1))
        lines[0] += f"; {len(names)} of them in {only}"
    return lines + table([head, *cells])


def _percent(scores: Scores, k: int) -> str:
    return f"{100 * scores.top_k(k):.2f}"


def _read_names(path: str) -> list[str]:
    """The names in a text file, one a line, each once."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8; --only takes one of sample names, one a line") from error
    names = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not names:
        raise ValueError(f"{path} names no samples")
    return names


if __name__ == "__main__":
    sys.exit(main())
