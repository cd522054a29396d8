"""Pictures of skeletons, with the edges of their graph as bones: frames from left to right, or one after the other.

Axis legend: C channels, T frames, V joints, M persons. The vertical axis is, in 3-D, the coordinate in which joints
differ most, in 2-D, the second coordinate. The first of the other coordinates is the horizontal axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_gen.common.drawing import Axes, Figure, LineCollection, new_figure, plain_style, save_png, shown
from feeders.presence import present
from graph.common.files import atomic_write
from graph.tools import Skeleton

NUM_FRAME = 6
MOST_FRAMES = 50  # of an animation; of longer ones evenly spaced frames
LEFT, RIGHT, MIDDLE = "#d1242f", "#0969da", "#24292f"
Samples = Sequence[tuple[str, np.ndarray]]  # titles, and (C, T, V, M) of each, finite and not empty, C at least 2


@plain_style()
def draw(samples: Samples, skeleton: Skeleton, *, scored: bool = False, down: bool = False) -> Figure:
    """Draw `NUM_FRAME` frames with persons of each sample; left is red, right is blue, further persons are paler.

    Args:
        samples: V is that of `skeleton`.
        skeleton: its bones.
        scored: the third channel is a score: it is no axis, and joints whose score is 0 are left out.
        down: the vertical axis grows downwards, as in the pixels of a picture.
    """
    figure = new_figure(1.7 * NUM_FRAME, 2.1 * len(samples), dpi=100)
    figure.set_layout_engine("constrained")
    across_up = plane(*(x for _, x in samples), scored=scored)
    rows = figure.subplots(len(samples), NUM_FRAME, squeeze=False, sharex="row", sharey="row")
    for title, (_, x), cells in zip(shown([title for title, _ in samples]), samples, rows, strict=True):
        valid = np.flatnonzero(present(x).any(axis=1))
        frames = valid[np.linspace(0, len(valid) - 1, NUM_FRAME).round().astype(int)]
        for axes, frame in zip(cells, frames, strict=True):
            _draw_frame(axes, x[:, frame], skeleton, across_up, scored)
            axes.set(aspect="equal", xticks=[], yticks=[])
            axes.set_xlabel(f"frame {frame}", fontsize=7)
        if down:
            cells[0].invert_yaxis()
        cells[0].set_title(title, loc="left", fontsize=8)
        cells[0].set_ylabel(
            f"right: channel {across_up[0]}\n{'down' if down else 'up'}: channel {across_up[1]}", fontsize=6
        )
    return figure


@plain_style()
def animate(
    path: Path, samples: Samples, skeleton: Skeleton, *, scored: bool = False, down: bool = False, rate: float = 30.0
) -> tuple[int, int, int]:
    """Write a GIF of samples side by side, atomically; shorter ones begin again.

    Args:
        rate: frames a second; the others are those of `draw`.

    Returns:
        How many pictures it has, their height and their width in pixels.
    """
    from PIL import Image

    figure = new_figure(2.2 * len(samples), 2.6, dpi=80)
    across_up = plane(*(x for _, x in samples), scored=scored)
    panels = [axes for row in figure.subplots(1, len(samples), squeeze=False) for axes in row]
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.9, 0.02)
    valid = [x[:, present(x).any(axis=1)] for _, x in samples]
    for axes, title, x in zip(panels, shown([title for title, _ in samples]), valid, strict=True):
        persons = x.transpose(3, 1, 2, 0).reshape(-1, x.shape[2], x.shape[0])  # (M T, V, C)
        points = np.stack([_points(person, across_up, scored) for person in persons])
        low, high = np.nanmin(points, axis=(0, 1)), np.nanmax(points, axis=(0, 1))
        margin = 0.05 * max(*(high - low), 1e-6)
        (left, right), (bottom, top) = zip(low - margin, high + margin, strict=True)
        axes.set(
            xlim=(left, right), ylim=(top, bottom) if down else (bottom, top), xticks=[], yticks=[], aspect="equal"
        )
        axes.set_frame_on(False)
        axes.set_title(title if len(title) <= 30 else f"{title[:29]}…", fontsize=8)
    longest = max(x.shape[1] for x in valid)
    step = -(-longest // MOST_FRAMES)
    pictures = []
    for frame in range(0, longest, step):
        for axes, x in zip(panels, valid, strict=True):
            for artist in list(axes.collections):
                artist.remove()
            _draw_frame(axes, x[:, frame % x.shape[1]], skeleton, across_up, scored)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
        pictures.append(Image.fromarray(pixels).quantize(32))
    with atomic_write(path) as temporary:
        duration = max(20, round(1000 * step / rate))  # players slow down what is faster
        pictures[0].save(temporary, "GIF", save_all=True, append_images=pictures[1:], duration=duration, loop=0)
    height, width, _ = pixels.shape
    return len(pictures), height, width


def plane(*samples: np.ndarray, scored: bool = False) -> tuple[int, int]:
    """The channels of the horizontal and the vertical axis of samples (C, T, V, M)."""
    spread = np.mean([x[:3].std(axis=2, dtype=np.float64).mean(axis=(1, 2)) for x in samples], axis=0)
    up = 1 if scored or len(spread) == 2 else int(spread.argmax())
    return int(up == 0), up


def _points(joints: np.ndarray, across_up: tuple[int, int], scored: bool) -> np.ndarray:
    """(V, C) of a person -> (V, 2), NaN where nothing is drawn."""
    is_drawn = (joints[:, 2] != 0) if scored else np.full(len(joints), joints.any())
    return np.where(is_drawn[:, None], joints[:, across_up], np.nan)


def _draw_frame(axes: Axes, x: np.ndarray, skeleton: Skeleton, across_up: tuple[int, int], scored: bool) -> None:
    """Draw the persons of a frame (C, V, M)."""
    sides = {"left": LEFT, "right": RIGHT}
    color = [next((sides[side] for side in sides if side in name.lower()), MIDDLE) for name in skeleton.joints]
    for person, joints in enumerate(x.transpose(2, 1, 0)):  # (V, C)
        _draw_person(axes, _points(joints, across_up, scored), skeleton, color, alpha=1 if person == 0 else 0.4)


def _draw_person(axes: Axes, points: np.ndarray, skeleton: Skeleton, color: Sequence[str], *, alpha: float) -> None:
    """Draw `points` (V, 2) and the bones between them; points that are NaN are left out."""
    lines = [points[list(edge)] for edge in skeleton.edges]
    colors = [color[child] for child, _ in skeleton.edges]
    axes.add_collection(LineCollection(lines, colors=colors, linewidths=1.4, alpha=alpha))
    axes.scatter(points[:, 0], points[:, 1], s=4, c=color, alpha=alpha, linewidths=0)


def write_picture(path: Path, figure: Figure) -> tuple[int, int]:
    """Write `figure` as PNG, atomically; its height and width in pixels."""
    with atomic_write(path) as temporary:
        save_png(temporary, figure)
    width, height = (int(size * figure.dpi) for size in figure.get_size_inches())
    return height, width
