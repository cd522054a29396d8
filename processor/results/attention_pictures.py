"""Heatmaps of attention: a grid of layers and heads as in the paper, and the mean of all at the width of a column.

Source of the form: Plizzari et al., CVIU 2021, figure 6. Colours are cividis, which grey print and colour-blind eyes
keep in order. Every picture has below it the score of what it shows. Axis legend: H heads, T frames, V joints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_gen.common.drawing import Axes, Figure, new_figure, plain_style, save_pdf, save_png, shown
from feeders.presence import evenly
from graph.common.files import atomic_write
from graph.tools import Skeleton

COLORS = "cividis"
COLUMN, PAGE = 3.4, 7.2  # inches of a column and of a page of a journal
DOTS = 220  # an inch
SMALL = 6  # points of the smallest letters, 1/72 inch each


def limb_order(skeleton: Skeleton) -> tuple[list[int], list[int]]:
    """The joints limb by limb, from the root outwards, and the places at which a limb begins."""
    parents = skeleton.parents
    children = [[c for c, parent in enumerate(parents) if parent == joint != c] for joint in range(len(parents))]
    order: list[int] = []
    begins: list[int] = []
    waiting = [joint for joint, parent in enumerate(parents) if joint == parent][::-1]
    while waiting:
        joint = waiting.pop()
        if order and parents[joint] != order[-1]:
            begins.append(len(order))
        order.append(joint)
        waiting += children[joint][::-1]
    return order, begins


def write(folder: Path, name: str, figure: Figure) -> list[Path]:
    """Writes `figure` as PNG and PDF, each atomically."""
    paths = []
    for save, ending in ((save_png, "png"), (save_pdf, "pdf")):
        path = folder / f"{name}.{ending}"
        with atomic_write(path) as temporary:
            save(temporary, figure)
        figure.set_layout_engine("none")  # the PDF keeps the layout of the PNG, which saves seconds
        paths.append(path)
    return paths


def color_bar(figure: Any, picture: Any, label: str = "", *, size: float = SMALL, **place: Any) -> None:
    """Adds a bar of the colours of `picture`, where `place` says, with a label and numbers of this size."""
    bar = figure.colorbar(picture, **place)
    bar.ax.tick_params(labelsize=size, length=1.5)
    bar.set_label(label, fontsize=size)


def token_names(kind: str, length: int, skeleton: Skeleton, frames: np.ndarray) -> list[str]:
    """The names of all tokens of a kind, as `Ticks` takes them."""
    if kind == "joints":
        return shown(skeleton.joints)
    if kind == "persons":
        return [f"person {m}" for m in range(length)]
    return ["" if np.isnan(number) else f"{number:.0f}" for number in frames]


class Ticks:
    """The order and the names of the tokens along both axes of a map; of many frames, some have names.

    Args:
        kind: `joints`, `frames` or `persons`.
        frames: the recording's number of each token of `frames`, NaN for padding.
    """

    def __init__(self, kind: str, length: int, skeleton: Skeleton, frames: np.ndarray, *, by_limb: bool) -> None:
        self.order, self.begins, self.places = list(range(length)), list[int](), list(range(length))
        if kind == "joints" and by_limb:
            self.order, self.begins = limb_order(skeleton)
        if kind == "frames":
            self.places = evenly(length, 5).tolist()
        names = token_names(kind, length, skeleton, frames)
        self.names = [names[self.order[place]] for place in self.places]

    def put(self, axes: Axes, *, left: bool, below: bool, size: float = SMALL) -> None:
        """Names the tokens left of a map and below it, and draws where limbs begin."""
        turn = 90 if max(map(len, self.names), default=0) > 4 else 0
        axes.set_xticks(self.places, self.names if below else [], rotation=turn, fontsize=size)
        axes.set_yticks(self.places, self.names if left else [], fontsize=size)
        axes.tick_params(length=1.5, width=0.4, pad=1)
        for begin in self.begins:
            axes.axhline(begin - 0.5, color="white", linewidth=0.4)
            axes.axvline(begin - 0.5, color="white", linewidth=0.4)


@plain_style()
def grid(
    layers: Sequence[tuple[str, np.ndarray]],
    ticks: Sequence[Ticks],
    title: str,
    score: str,
    *,
    one_bar: bool,
    kind: str,
) -> Figure:
    """Maps of all layers (rows) and heads (columns), and the mean of the heads in the last column.

    Args:
        layers: the name of each, and its attention (H, L, L) in equal shares, 1 / L.
        ticks: of each layer.
        one_bar: one scale of colours for all maps; else each map has its own.
    """
    H, L = layers[0][1].shape[:2]
    side = max(0.75, 0.085 * L) if kind == "joints" else 1.0
    figure = new_figure(2.6 + side * (H + 1) + (0 if one_bar else 0.35 * (H + 1)), 1.5 + (side + 0.2) * len(layers))
    figure.set_layout_engine("constrained")
    cells = figure.subplots(len(layers), H + 1, squeeze=False)
    lowest, highest = min(float(A.min()) for _, A in layers), max(float(A.max()) for _, A in layers)
    for row, ((name, A), tick) in enumerate(zip(layers, ticks, strict=True)):
        for column, values in enumerate([*A, A.mean(axis=0)]):
            axes = cells[row, column]
            low, top = (lowest, highest) if one_bar else (float(values.min()), float(values.max()))
            picture = axes.imshow(values[np.ix_(tick.order, tick.order)], cmap=COLORS, vmin=low, vmax=top)
            is_last = row == len(layers) - 1
            tick.put(axes, left=column == 0, below=is_last or kind == "frames")
            if not one_bar:
                color_bar(figure, picture, ax=axes, shrink=0.8)
            if row == 0:
                axes.set_title(f"head {column}" if column < H else "mean of heads", fontsize=8)
            if column == 0:
                axes.set_ylabel(name, fontsize=8)
    if one_bar:
        label = "weight, 1: an equal share (rows are queries)"
        color_bar(figure, picture, label, size=7, ax=cells, shrink=0.6, fraction=0.02, pad=0.01)
    figure.suptitle(f"{shown([title])[0]}: attention between {kind}", fontsize=10)
    figure.supxlabel(score, fontsize=7)
    return figure


@plain_style()
def column(A: np.ndarray, tick: Ticks, title: str, score: str, kind: str) -> Figure:
    """One map (L, L) at the width of a column."""
    figure = new_figure(COLUMN, 3.15 if kind == "joints" else 2.9, dpi=DOTS)
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    of_what = " (frame of the prepared recording)" if kind == "frames" else ""
    draw_map(figure, axes, A, tick, of_what, "weight, mean of heads and layers (1: an equal share)")
    axes.set_title(shown([title])[0], fontsize=8)
    figure.supxlabel(score.replace("order: ", "order:\n"), fontsize=SMALL)  # in two lines, for the picture is narrow
    return figure


def draw_map(figure: Any, axes: Axes, A: np.ndarray, tick: Ticks, of_what: str, label: str) -> None:
    """Draws a map (L, L) with a bar of its colours; the names of both axes end with `of_what`."""
    picture = axes.imshow(A[np.ix_(tick.order, tick.order)], cmap=COLORS)
    tick.put(axes, left=True, below=True)
    axes.set_ylabel(f"looks{of_what}", fontsize=7)
    axes.set_xlabel(f"is looked at{of_what}", fontsize=7)
    color_bar(figure, picture, label, ax=axes, fraction=0.045, pad=0.02)


@plain_style()
def importance(explained: Any, kind: str, names: Sequence[str]) -> Figure | None:
    """How much each joint, frame or person counts by each method, with its curves of deletion and insertion.

    None: nothing along this axis was scored.
    """
    methods = [method for method, axis in explained.importance if axis == kind]
    if not methods:
        return None
    L = len(names)
    width = min(PAGE, 3.2 + 0.16 * L)
    figure = new_figure(width, 1.45 * len(methods) + 0.75, dpi=DOTS)
    figure.set_layout_engine("constrained")
    cells = figure.subplots(len(methods), 2, squeeze=False, width_ratios=(max(1.0, width - 2.2), 2))
    for row, method in enumerate(methods):
        value, score = explained.importance[method, kind], explained.scores[f"{method} of {kind}"]
        bars, curves = cells[row]
        bars.bar(range(L), value * L, color="#3b5a8c", width=0.8)
        bars.axhline(1, color="#57606a", linewidth=0.5, linestyle="--")
        bars.set_ylabel(f"{method}\n× equal share", fontsize=7)
        is_last = row == len(methods) - 1
        every = max(1, L // 30)
        bars.set_xticks(range(0, L, every), names[::every] if is_last else [], rotation=90, fontsize=SMALL)
        for name, color in (("deletion", "#b35900"), ("insertion", "#1b5e9e")):
            y, random = score["curves"][name], score["curves"][f"random_{name}"]
            at = score["curves"]["shares"]
            curves.plot(at, y, color=color, linewidth=1.2, label=f"{name} {score[f'{name}_gain']:+.2f}")
            curves.plot(at, random, color=color, linestyle=":", linewidth=0.9)
            curves.fill_between(at, y, random, color=color, alpha=0.15, linewidth=0)
        curves.set(xlim=(0, 1), ylim=(0, 1.02))
        curves.set_title(f"stability {score['stability']:.2f}", fontsize=7, pad=2)
        curves.legend(fontsize=5.5, loc="best", handlelength=1, framealpha=0.85, edgecolor="none")
        curves.set_ylabel("probability", fontsize=SMALL)
        if is_last:
            curves.set_xlabel(f"share of {kind} removed or added", fontsize=7)
        for axes in (bars, curves):
            axes.tick_params(labelsize=SMALL, length=1.5)
            axes.spines[["top", "right"]].set_visible(False)
    note = "dotted: random orders; the area between is in the legend"
    if "rollout" in methods:
        note += "\nrollout leaves out the convolutions, which mix between the layers, too"
    figure.suptitle(shown([explained.title])[0], fontsize=8)
    figure.supxlabel(note, fontsize=SMALL)
    return figure


def draw_maps(
    explained: Any, skeleton: Skeleton, folder: Path, frames_of: Callable[..., np.ndarray], *, order: str, bars: str
) -> list[Path]:
    """Writes the heatmaps of each kind of attention and person."""
    paths: list[Path] = []
    groups: dict[tuple[str, int], list[Any]] = {}
    for one in explained.seen:
        groups.setdefault((one.kind, one.person), []).append(one)
    for (kind, person), seen in groups.items():
        if f"attention of {kind}" not in explained.scores:
            continue  # tokens of a user's block, or only one token: without a score there is no picture
        ticks = [
            Ticks(kind, one.values.shape[-1], skeleton, frames_of(one, explained.frames), by_limb=order == "limb")
            for one in seen
        ]
        name = f"{kind}_person{person}" if person else kind
        title = explained.title + (f", person {person}" if person else "")
        score = explained.score_line(kind)
        maps = [(one.block, one.mean() * one.values.shape[-1]) for one in seen]  # layers have more tokens or fewer
        by_width: dict[int, list[int]] = {}
        for i, (_, A) in enumerate(maps):
            by_width.setdefault(len(A), []).append(i)
        for number, rows in enumerate(by_width.values()):  # layers with the same number of heads
            figure = grid(
                [maps[i] for i in rows], [ticks[i] for i in rows], title, score, one_bar=bars == "one", kind=kind
            )
            paths += write(folder, f"heatmaps_{name}{number or ''}", figure)
        same = [i for i, (_, A) in enumerate(maps) if A.shape[-1] == maps[0][1].shape[-1]]
        mean = np.mean([maps[i][1].mean(axis=0) for i in same], axis=0)
        paths += write(folder, f"heatmap_{name}", column(mean, ticks[0], title, score, kind))
    for kind in ("joints", "frames", "persons"):
        names = token_names(kind, explained.body.shape[-1], skeleton, explained.frames)
        if (figure_or_none := importance(explained, kind, names)) is not None:
            paths += write(folder, f"importance_{kind}", figure_or_none)
    return paths
