"""Which classes a model knows and which it mixes up: per-class accuracy and the confusion matrix, as CSV and PNG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_gen.common import drawing
from data_gen.common.drawing import Axes, Figure, plain_style, save_png, shown
from graph.common.files import atomic_write, write_csv
from graph.common.words import plural
from processor.results.scores import Scores

# one hue, so that darker always means more; grey where a class has no samples
COLORS = drawing.LinearSegmentedColormap.from_list(
    "share", ["#ffffff", "#d6e6f4", "#85b8dc", "#3079b6", "#08306b"]
).with_extremes(bad="#f3f4f6")
INK, GREY, FAINT = "#24292f", "#59636e", "#dfe3e8"
MOST_NUMBERS = 20  # classes up to which the cells hold their shares
MOST_MIXED = 3  # pairs of classes that the head names


def write_report(work_dir: str | Path, scores: Scores, class_names: Sequence[str] | None = None) -> None:
    """Write `per_class_accuracy` and `confusion_matrix`, each as `.csv` and `.png`.

    Classes without `class_names` are called by their numbers.

    Raises:
        ValueError: the labels are not known, or there are more or fewer names than classes.
    """
    num_class = scores.scores.shape[1]
    if class_names is not None and len(class_names) != num_class:
        given, classes = plural(len(class_names), "name"), plural(num_class, "class", "classes")
        raise ValueError(f"class_names: {given} for {classes}; give each class one name")
    names = list(class_names or map(str, range(num_class)))
    counts, folder = scores.confusion(), Path(work_dir)
    write_csv(folder / "per_class_accuracy.csv", _accuracy_rows(counts, names))
    rows = ([name, *row] for name, row in zip(names, counts, strict=True))
    write_csv(folder / "confusion_matrix.csv", [["true \\ predicted", *names], *rows])
    for name, draw in (("per_class_accuracy", draw_accuracy), ("confusion_matrix", draw_confusion)):
        with atomic_write(folder / f"{name}.png") as temporary:
            save_png(temporary, draw(counts, names), cut=True)


@plain_style()
def draw_accuracy(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """The accuracy of every class that has samples as bars, the best on top, over a line at their mean."""
    shares, drawn = _shares(counts).diagonal(), shown(names)
    order = [i for i in np.argsort(-shares, kind="stable") if np.isfinite(shares[i])]
    font = float(np.interp(len(order), [10, 60, 120], [10, 8, 7]))
    figure = drawing.new_figure(6, 0.028 * font * len(order) + 0.8)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.barh(range(len(order)), shares[order], height=0.7, color=COLORS(0.75))
    mean = float(shares[order].mean()) if order else math.nan
    axes.axvline(mean, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    for row, i in enumerate(order):
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # where the dashed line passes behind it
        text = axes.text(shares[i] + 0.01, row, _percent(shares[i]), va="center", fontsize=0.9 * font, color=GREY)
        text.set_bbox(box)
    axes.set_yticks(range(len(order)), [drawn[i] for i in order], fontsize=font, color=INK)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    title = f"Accuracy of each class, mean {_percent(mean, 2)} % (dashed)"
    axes.set_title(title, loc="left", fontsize=font + 1, color=INK, pad=10)
    return figure


@plain_style()
def draw_confusion(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """The confusion matrix `counts` (true classes, predicted classes) as a figure, each row in shares of its sum."""
    n, names = len(names), shown(names)
    cell, font = np.interp(n, [10, 60, 120], [0.55, 0.18, 0.14]), np.interp(n, [10, 60, 120], [10.0, 8.0, 7.0])
    figure = drawing.new_figure(n * cell, n * cell)
    axes = figure.add_axes((0, 0, 1, 1))  # the labels lie outside, and the file is cut to hold them
    shares = _shares(counts)
    image = axes.imshow(shares, cmap=COLORS, norm=drawing.PowerNorm(0.6, 0, 1))  # so that rare mistakes can be seen
    _dress(axes, names, font=font)
    if n <= MOST_NUMBERS:
        for i, j in np.argwhere(counts):
            color = "white" if shares[i, j] > 0.4 else INK
            axes.text(j, i, _percent(shares[i, j]), ha="center", va="center", fontsize=0.9 * font, color=color)
    _head(axes, counts, names)
    bar = figure.colorbar(image, ax=axes, cax=axes.inset_axes((1 + 0.2 / (n * cell), 0, 0.13 / (n * cell), 1)))
    bar.set_ticks([0, 0.05, 0.25, 0.5, 0.75, 1], labels=["0", "5", "25", "50", "75", "100 %"])
    bar.ax.tick_params(length=0, labelsize=font, labelcolor=INK)
    bar.ax.set_frame_on(False)
    return figure


def _dress(axes: Axes, names: Sequence[str], *, font: float) -> None:
    """Names at both edges, and faint lines that lead the eye to them."""
    n = len(names)
    axes.set_yticks(range(n), names, fontsize=font, color=INK)
    slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if n <= MOST_NUMBERS else {"rotation": 90}
    axes.set_xticks(range(n), names, fontsize=font, color=INK, **slanted)
    axes.set_ylabel("true", fontsize=font + 1, color=GREY, labelpad=10)
    axes.set_xlabel("predicted", fontsize=font + 1, color=GREY, labelpad=10)
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=FAINT, linewidth=0.8 if n <= MOST_NUMBERS else 0.35)
    axes.tick_params(which="both", length=0)
    axes.set_frame_on(False)


def _head(axes: Axes, counts: np.ndarray, names: Sequence[str]) -> None:
    """Top-1 as the title, and below it the classes that are mixed up most."""
    n = len(names)
    wrong = np.nan_to_num(_shares(counts)) * (1 - np.eye(n))
    worst = [divmod(int(cell), n) for cell in np.argsort(-wrong, axis=None)[:MOST_MIXED]]
    samples, classes = plural(counts.sum(), "sample"), plural(n, "class", "classes")
    lines = [f"{samples} of {classes}; cells are per cent of the true class"]
    lines += [f"{names[i]} taken for {names[j]}: {_percent(wrong[i, j])} %" for i, j in worst if wrong[i, j]]
    size = float(np.interp(n, [10, 60, 120], [9, 12, 16]))
    place: dict[str, Any] = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    axes.annotate("\n".join(lines), xytext=(0, 1.3 * size), fontsize=size, color=GREY, linespacing=1.5, **place)
    top1 = counts.trace() / counts.sum() if counts.any() else math.nan
    title, above = f"Top-1 {_percent(top1, 2)} %", size * (2.3 + 1.55 * len(lines))
    axes.annotate(title, xytext=(0, above), fontsize=1.6 * size, color=INK, weight="bold", **place)


def _percent(share: float, digits: int = 0) -> str:
    """In per cent; only what is exactly 0 or 1 is shown as 0 or 100."""
    if math.isnan(share):
        return "-"
    text, step = f"{100 * share:.{digits}f}", 10**-digits
    if share > 0 and float(text) == 0:
        return f"<{step:.{digits}f}"
    return f">{100 - step:.{digits}f}" if share < 1 and float(text) == 100 else text


def _shares(counts: np.ndarray) -> np.ndarray:
    """Every row of `counts` divided by its sum; nan where a class has no samples."""
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def _accuracy_rows(counts: np.ndarray, names: Sequence[str]) -> Iterable[Sequence[Any]]:
    """A row a class; the accuracy of a class without samples is left empty."""
    yield "class", "name", "samples", "correct", "accuracy"
    for i, (name, row) in enumerate(zip(names, counts, strict=True)):
        yield i, name, row.sum(), row[i], f"{row[i] / row.sum():.4f}" if row.sum() else ""
