"""Pictures of skeletons: a row for each sample, frames from left to right, bones from joint to parent.

Axis legend: C channels, T frames, V joints, M persons. The vertical axis is, in 3-D, the coordinate in which joints
differ most, in 2-D, the second coordinate; it grows upwards, so skeletons in pixels stand on their heads. The first of
the other coordinates is the horizontal axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_gen.common.drawing import Axes, Figure, LineCollection, new_figure, plain_style, save_png
from feeders.arrays import present
from graph.common.files import atomic_write
from graph.tools import Skeleton

NUM_FRAME = 6
LEFT, RIGHT, MIDDLE = "#d1242f", "#0969da", "#24292f"


@plain_style()
def draw(samples: Sequence[tuple[str, np.ndarray]], skeleton: Skeleton, *, scored: bool = False) -> Figure:
    """Draw `NUM_FRAME` frames with persons of each sample; left is red, right is blue, further persons are paler.

    Args:
        samples: titles, and (C, T, V, M) of each, finite and not empty, C at least 2, V that of `skeleton`.
        skeleton: its bones.
        scored: the third channel is a score: it is no axis, and joints whose score is 0 are left out.
    """
    figure = new_figure(1.7 * NUM_FRAME, 2.1 * len(samples), dpi=100)
    figure.set_layout_engine("constrained")
    across, up = plane(*(x for _, x in samples), scored=scored)
    sides = {"left": LEFT, "right": RIGHT}
    color = [next((sides[side] for side in sides if side in name.lower()), MIDDLE) for name in skeleton.joints]
    rows = figure.subplots(len(samples), NUM_FRAME, squeeze=False, sharex="row", sharey="row")
    for (title, x), cells in zip(samples, rows, strict=True):
        (valid,) = np.nonzero(present(x).any(axis=1))
        frames = valid[np.linspace(0, len(valid) - 1, NUM_FRAME).round().astype(int)]
        for axes, frame in zip(cells, frames, strict=True):
            for person, joints in enumerate(x[:, frame].transpose(2, 1, 0)):  # (V, C)
                is_drawn = (joints[:, 2] != 0) if scored else np.full(len(joints), joints.any())
                points = np.where(is_drawn[:, None], joints[:, [across, up]], np.nan)
                _draw_person(axes, points, skeleton, color, alpha=1 if person == 0 else 0.4)
            axes.set(aspect="equal", xticks=[], yticks=[])
            axes.set_xlabel(f"frame {frame}", fontsize=7)
        plain = title[:100].encode("unicode_escape").decode()  # no font has all letters
        cells[0].set_title(plain, loc="left", fontsize=8)
        cells[0].set_ylabel(f"right: channel {across}\nup: channel {up}", fontsize=6)
    return figure


def plane(*samples: np.ndarray, scored: bool = False) -> tuple[int, int]:
    """The channels of the horizontal and the vertical axis of samples (C, T, V, M)."""
    spread = np.mean([x[:3].std(axis=2, dtype=np.float64).mean(axis=(1, 2)) for x in samples], axis=0)
    up = 1 if scored or len(spread) == 2 else int(spread.argmax())
    return int(up == 0), up


def _draw_person(axes: Axes, points: np.ndarray, skeleton: Skeleton, color: Sequence[str], *, alpha: float) -> None:
    """Draw `points` (V, 2) and the bones between them; points that are NaN are left out."""
    bones = [(child, parent) for child, parent in enumerate(skeleton.parents) if child != parent]
    lines = [points[list(bone)] for bone in bones]
    colors = [color[child] for child, _ in bones]
    axes.add_collection(LineCollection(lines, colors=colors, linewidths=1.4, alpha=alpha))
    axes.scatter(points[:, 0], points[:, 1], s=4, c=color, alpha=alpha, linewidths=0)


def write_picture(path: Path, figure: Figure) -> tuple[int, int]:
    """Write `figure` as PNG, atomically; its height and width in pixels."""
    with atomic_write(path) as temporary:
        save_png(temporary, figure)
    width, height = (int(size * figure.dpi) for size in figure.get_size_inches())
    return height, width
