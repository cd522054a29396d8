"""Compares runs: `python -m processor.tools.compare work_dir/a work_dir/b [--out FOLDER]`.

Prints the accuracies of the runs with 95 % intervals (Wilson), the differences of their configurations, and whether two
runs differ by more than chance (McNemar's exact test, corrected for several pairs by Holm). A run is the folder that a
training or test wrote, or a file of scores.

`--out` gets `comparison.md` and `comparison.tex` with the tables, `differing_samples.csv` with every sample on which
the runs disagree, and `curves.png`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from data_gen.common.command_line import Parser, printing_anything
from graph.common.bounded_yaml import YamlError, read_text
from graph.common.files import atomic_write, check_folder, write_csv, write_text
from graph.common.hints import flat
from graph.common.words import plural
from graph.common.yaml_text import dump, load, plain
from model.options import OPTIONS
from processor.results.fusion import align
from processor.results.history import Curve, read_curves
from processor.results.scores import Scores, load_scores, score_file
from processor.results.statistics import holm, mcnemar, wilson
from processor.results.tables import Cells, latex_table, markdown_table
from processor.results.work_dir import CONFIG
from processor.runtime.failure import sentence

# of Okabe and Ito, which colour-blind people can tell apart
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
ABSENT = "-"  # a key that a configuration does not have


@dataclass(frozen=True)
class Compared:
    """A run: what it is called, its scores, and what its folder tells beside them."""

    title: str
    scores: Scores
    config: Mapping[str, Any]
    curves: Mapping[str, Curve]

    @property
    def right(self) -> np.ndarray:
        """(N,) bool: the samples whose label has the highest score."""
        return self.scores.scores.argmax(axis=1) == self.scores.known_labels


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the runs of the command line; 1 and a line on stderr if they cannot be compared."""
    parser = Parser(description=__doc__, prog="python -m processor.tools.compare")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run, or file of scores")
    parser.option("out", type=Path, metavar="FOLDER", help="folder of the tables, the list of samples and the curves")
    args = parser.parse_args(argv)
    with printing_anything():
        try:
            if args.out:
                check_folder(args.out, "out")
            runs = read_runs(args.runs)
            sys.stdout.write(markdown(runs))
            if args.out:
                sys.stdout.write(f"\nwrote {', '.join(map(str, write(args.out, runs)))}\n")
        except (ValueError, OSError) as error:
            sys.stderr.write(f"error: {sentence(error)}\n")
            return 1
    return 0


def read_runs(paths: Sequence[Path]) -> list[Compared]:
    """The runs, their samples in the same order.

    Raises:
        ValueError: there are fewer than two, one is named twice or holds no scores, or their samples, classes or labels
            do not fit each other.
    """
    if len(paths) < 2:
        raise ValueError("name two runs at least")
    if len({path.resolve() for path in paths}) < len(paths):
        raise ValueError("a run is named twice; name different ones")
    titles = _titles(paths)
    streams = align([load_scores(score_file(path)) for path in paths], titles=titles)
    if streams[-1].labels is None:
        raise ValueError("the scores know no labels, so that nothing is right or wrong; make them by --phase test")
    streams = [Scores(stream.names, stream.scores, streams[-1].labels) for stream in streams]
    return [
        Compared(title, scores, _config(path), read_curves(path) if path.is_dir() else {})
        for title, path, scores in zip(titles, paths, streams, strict=True)
    ]


def _titles(paths: Sequence[Path]) -> list[str]:
    """The last parts of the paths, as few as tell them apart."""
    resolved = [path.resolve() for path in paths]
    for count in range(1, max(len(path.parts) for path in resolved) + 1):
        titles = ["/".join(path.parts[-count:]) for path in resolved]
        if len(set(titles)) == len(titles):
            break
    return titles


def _config(path: Path) -> dict[str, Any]:
    """The configuration beside the scores with nested keys as `a.b`; empty where there is none."""
    file = (path if path.is_dir() else path.parent) / CONFIG
    if not file.is_file():
        return {}
    try:
        config = plain(load(read_text(file), str(file), []))
    except YamlError as error:
        raise ValueError(f"{file}{error.where}: {error.problem}") from error
    return flat(_with_defaults(config)) if isinstance(config, dict) else {}


def _with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with all options of our models: a run that began with weights has them written out."""
    with suppress(KeyError, TypeError, ValueError):
        args = asdict(OPTIONS[config["model"]](**config["model_args"]))
        return config | {"model_args": plain(load(dump(args), "", []))}
    return config  # of a user's model, or of another version


def configurations(runs: Sequence[Compared]) -> list[Cells]:
    """A row for each key whose values differ, under a head; `work_dir` differs always."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    rows = [[key, *(str(run.config.get(key, ABSENT)) for run in runs)] for key in keys if key != "work_dir"]
    different = [row for row in rows if len(set(row[1:])) > 1 and not {*row[1:]} <= {ABSENT, "{}", "None"}]
    return [["key", *(run.title for run in runs)], *different]


def accuracies(runs: Sequence[Compared]) -> list[Cells]:
    """A row for each run: top-1 with its interval, and top-5 if there are more than five classes."""
    ranks = [5] if runs[0].scores.scores.shape[1] > 5 else []
    rows: list[Cells] = [["run", "top-1 %", "95 % interval", *(f"top-{k} %" for k in ranks)]]
    for run in runs:
        low, high = wilson(int(run.right.sum()), len(run.right))
        others = [f"{100 * run.scores.top_k(k):.2f}" for k in ranks]
        rows.append([run.title, f"{100 * run.right.mean():.2f}", f"{100 * low:.2f} to {100 * high:.2f}", *others])
    return rows


def mcnemar_tests(runs: Sequence[Compared]) -> list[Cells]:
    """A row for each pair: the samples that one alone has right, and McNemar's p."""
    pairs = list(combinations(runs, 2))
    counts = [(int((a.right & ~b.right).sum()), int((b.right & ~a.right).sum())) for a, b in pairs]
    p_values = [mcnemar(*count) for count in counts]
    rows: list[Cells] = [["pair", "first alone right", "second alone right", "p", "p (Holm)"]]
    for (a, b), (x, y), p, corrected in zip(pairs, counts, p_values, holm(p_values), strict=True):
        rows.append([f"{a.title}, {b.title}", str(x), str(y), f"{p:.3g}", f"{corrected:.3g}"])
    return rows if len(pairs) > 1 else [row[:-1] for row in rows]  # one test needs no correction


def differing(runs: Sequence[Compared]) -> list[Cells]:
    """A row for each sample that the runs take for different classes: its name, its label, the class of each run."""
    guesses = np.stack([run.scores.scores.argmax(axis=1) for run in runs])
    chosen = np.flatnonzero((guesses != guesses[0]).any(axis=0))
    names, labels = runs[0].scores.names, runs[0].scores.known_labels
    head = ["sample", "label", *(run.title for run in runs)]
    return [head, *([names[i], str(labels[i]), *map(str, guesses[:, i])] for i in chosen)]


def markdown(runs: Sequence[Compared]) -> str:
    """All tables, and what they say, as Markdown."""
    known, without = [run for run in runs if run.config], [run.title for run in runs if not run.config]
    different = configurations(known)
    same = ["The configurations are the same."] if len(known) > 1 else []
    number = len(differing(runs)) - 1
    samples = f"{plural(len(runs[0].right), 'sample')}, {plural(number, 'is', 'are')} taken for different classes."
    parts = [
        "## Accuracy\n",
        markdown_table(accuracies(runs)),
        "\n## McNemar's test\n",
        "p is how often such a difference, or a larger one, comes by chance alone.\n",
        markdown_table(mcnemar_tests(runs)),
        f"\nOf {samples}\n",
        "\n## Configuration\n",
        *([f"No configuration is known of {', '.join(without)}.\n"] if without else []),
        *([markdown_table(different)] if len(different) > 1 else same),
    ]
    return "\n".join(parts) + "\n"


def write(folder: Path, runs: Sequence[Compared]) -> list[Path]:
    """Write the tables, the list of samples and the curves into a folder; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in ("comparison.md", "comparison.tex", "differing_samples.csv")]
    write_text(paths[0], markdown(runs))
    write_text(paths[1], "\n".join(latex_table(rows) for rows in (accuracies(runs), mcnemar_tests(runs))))
    write_csv(paths[2], differing(runs))
    if any(run.curves for run in runs):
        path = folder / "curves.png"
        with atomic_write(path) as temporary:
            save_curves(temporary, runs)
        paths.append(path)
    return paths


def save_curves(path: Path, runs: Sequence[Compared]) -> None:
    """Write a PNG of loss and top-1 by optimiser step: a colour for each run, training dashed, test solid."""
    from data_gen.common.drawing import new_figure, plain_style, save_png, shown  # matplotlib takes a second

    with plain_style():
        figure = new_figure(10, 4)
        figure.set_layout_engine("constrained")
        for axes, key, title in zip(figure.subplots(1, 2), ("loss", "top1"), ("Loss", "Top-1 accuracy"), strict=True):
            for number, (run, name) in enumerate(zip(runs, shown([run.title for run in runs]), strict=True)):
                judge = "validation" if f"validation/{key}" in run.curves else "test"
                for part, style in (("train", "--"), (judge, "-")):
                    if curve := run.curves.get(f"{part}/{key}"):
                        kind = "training" if part == "train" else part
                        color = COLORS[number % len(COLORS)]
                        steps, values = zip(*curve, strict=True)
                        axes.plot(steps, values, style, color=color, label=f"{name}, {kind}", linewidth=1.3)
            axes.set(title=title, xlabel="optimiser step")
            axes.grid(color="#dfe3e8", linewidth=0.6)
        axes.set_ylim(0, 1)
        lines = {str(line.get_label()): line for axes in figure.axes for line in axes.get_lines()}  # each label once
        figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=2, frameon=False)
        save_png(path, figure)


if __name__ == "__main__":
    sys.exit(main())
