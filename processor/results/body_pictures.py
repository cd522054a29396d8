"""Attention on the body: film strips and animations of skeletons whose joints show the attention that they receive.

Axis legend: C channels, T frames, V joints, M persons. The plane that is drawn is that of `data_gen.common.pictures`.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from data_gen.common.drawing import Axes, Figure, LineCollection, colormap, new_figure, plain_style, rgb, shown
from data_gen.common.pictures import plane
from feeders.layout import Layout
from feeders.presence import evenly, present
from graph.common.files import atomic_write
from graph.tools import Skeleton
from processor.results.attention_pictures import COLORS, DOTS, PAGE, SMALL, Ticks, color_bar, draw_map, write
from processor.results.tokens import at_frames, map_at_frames

NUM_SHOWN = 6  # frames of a film strip
LEAST = 0.2  # of an equal share: differences that fill the scale are at least as large
PAIRS = 6  # strongest pairs that are drawn
MOST_FRAMES, RATE = 60, 10  # of an animation, frames and frames a second
BONE, PAIR = "#9aa4ad", "#c2410c"


class Bodies:
    """The skeletons of a sample in the plane that is drawn, and what the attentions say of them at each frame.

    Args:
        body: (C, T, V, M), as recorded.
        pairs: person -> (T, V, V), attention between joints, the mean over heads and layers; absent persons have none.
        layout: what the channels of the body are.
    """

    def __init__(
        self, body: np.ndarray, skeleton: Skeleton, pairs: dict[int, np.ndarray], layout: Layout | None = None
    ) -> None:
        axes = list(plane(body, scored=layout is not None and layout.is_scored))
        # (M, T, V, 2), NaN for joints that are missing and those of absent persons
        self.points = np.where(body.any(axis=0), body[axes], np.nan).transpose(3, 1, 2, 0)
        if layout is not None and layout.is_down:
            self.points[..., 1] *= -1
        self.is_present = present(body)  # (T, M)
        self.skeleton, self.pairs = skeleton, pairs
        received = [A.mean(axis=1) * A.shape[-1] for A in pairs.values()]  # of an equal share
        self.low = min([1 - LEAST, *(float(r.min()) for r in received)])
        self.high = max([1 + LEAST, *(float(r.max()) for r in received)])

    def frames(self, count: int) -> list[int]:
        """Evenly spaced frames with somebody in them."""
        (valid,) = np.nonzero(self.is_present.any(axis=1))
        valid = valid if len(valid) else np.arange(len(self.is_present))
        return valid[evenly(len(valid), count)].tolist()

    def limits(self, frames: Sequence[int]) -> tuple[tuple[float, float], tuple[float, float]]:
        """The extent of these frames, with a margin."""
        points = self.points[:, list(frames)]
        if np.isnan(points).all():
            return (-1, 1), (-1, 1)
        low, high = np.nanmin(points, axis=(0, 1, 2)), np.nanmax(points, axis=(0, 1, 2))
        margin = 0.08 * max(float((high - low).max()), 1e-3)
        return (low[0] - margin, high[0] + margin), (low[1] - margin, high[1] + margin)

    def draw(self, axes: Axes, frame: int, size: float = 1.0, *, colored: bool = True) -> Any:
        """Draws all persons at a frame; what a bar of colours is made of, None where no joint has a colour."""
        marks = None
        for person, points in enumerate(self.points[:, frame]):
            bones = [points[[child, parent]] for child, parent in self.skeleton.edges]
            axes.add_collection(LineCollection(bones, colors=BONE, linewidths=1.0 * size, zorder=1))
            if person not in self.pairs or not colored:
                axes.scatter(points[:, 0], points[:, 1], s=4 * size, c=BONE, linewidths=0, zorder=3)
                continue
            A = self.pairs[person][frame]
            received = A.mean(axis=0) * len(A)
            share = (received - self.low) / (self.high - self.low)
            self._draw_pairs(axes, points, A, size)
            marks = axes.scatter(
                points[:, 0], points[:, 1], s=(4 + 42 * share) * size,
                c=received, cmap=COLORS, vmin=self.low, vmax=self.high,
                edgecolors="#24292f", linewidths=0.3, zorder=3,
            )  # fmt: skip
        axes.set(aspect="equal", xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        return marks

    def strip(self, cells: Sequence[Axes], frames: Sequence[int], numbers: np.ndarray, *, colored: bool = True) -> Any:
        """Draws frames, of which the recording has these numbers, into cells; what a bar of colours is made of."""
        xlim, ylim = self.limits(frames)
        marks = None
        for axes, frame in zip(cells, frames, strict=False):
            marks = self.draw(axes, frame, colored=colored) or marks
            axes.set(xlim=xlim, ylim=ylim)
            axes.set_title(frame_title(numbers[frame]), fontsize=7, pad=2)
        for axes in cells[len(frames) :]:
            axes.set_visible(False)
        return marks

    def _draw_pairs(self, axes: Axes, points: np.ndarray, A: np.ndarray, size: float) -> None:
        """Lines between the pairs of joints with the most attention, both directions together, above what all have."""
        both = np.triu((A + A.T) / 2 * len(A), 1)
        i, j = np.unravel_index(np.argsort(both, axis=None)[::-1][:PAIRS], both.shape)
        strong = both[i, j]
        width = np.clip((strong - 1) / max(float(strong.max()) - 1, 1e-6), 0, 1) * (strong > 1)
        lines = [points[[a, b]] for a, b in zip(i, j, strict=True)]
        axes.add_collection(
            LineCollection(
                lines, colors=PAIR, linewidths=1.6 * size * width, alpha=0.7, linestyles=(0, (3, 1.5)), zorder=2
            )
        )


def frame_title(number: float) -> str:
    """The title of a frame with its number in the recording, NaN for padding."""
    return "padding" if np.isnan(number) else f"frame {number:.0f}"


def over_time(seen: Sequence[Any], kind: str, T: int) -> dict[int, np.ndarray]:
    """Attention of a kind for each person at every frame of the input (T, L, L), the mean over heads and layers."""
    sums: dict[int, list[np.ndarray]] = {}
    for one in seen:
        if one.kind == kind:
            A = at_frames(one.values.mean(axis=0, dtype=np.float64), T)
            sums.setdefault(one.person, []).append(A)
    return {person: np.mean(arrays, axis=0) for person, arrays in sums.items()}


def between_frames(seen: Sequence[Any], T: int) -> np.ndarray | None:
    """(T, T): the mean over persons, heads, joints and layers of the attention between frames; None without any."""
    maps = [map_at_frames(one.mean().mean(axis=0), T) for one in seen if one.kind == "frames"]
    return np.mean(maps, axis=0) if maps else None


@plain_style()
def film_strip(bodies: Bodies, explained: Any, kinds: Sequence[str], frame_map: np.ndarray | None) -> Figure:
    """Some frames of the body; above them, if frames attend to each other, their map and how much each receives."""
    shown_frames = bodies.frames(NUM_SHOWN)
    xlim, ylim = bodies.limits(shown_frames)
    ratio = (ylim[1] - ylim[0]) / (xlim[1] - xlim[0])
    strip = float(np.clip(0.9 * PAGE / NUM_SHOWN * ratio, 0.9, 2.2))
    above = 2.6 if frame_map is not None else 0.0
    figure = new_figure(PAGE, above + strip + 0.5 + 0.1 * len(kinds), dpi=DOTS)
    figure.set_layout_engine("constrained")
    parts: list[Any] = list(figure.subfigures(2, 1, height_ratios=(above, strip + 0.4))) if above else [None, figure]
    if frame_map is not None:
        _draw_frame_map(parts[0], frame_map, explained, shown_frames)
    cells = parts[1].subplots(1, NUM_SHOWN, squeeze=False)[0]
    marks = bodies.strip(cells, shown_frames, explained.frames)
    if marks is not None:
        label = "attention received\n(1: equal share)"
        color_bar(parts[1], marks, label, ax=list(cells), fraction=0.02, pad=0.01, aspect=25)
    figure.suptitle(shown([explained.title])[0], fontsize=8)
    figure.supxlabel("\n".join(explained.score_line(kind) for kind in kinds), fontsize=SMALL)
    return figure


def _draw_frame_map(figure: Any, A: np.ndarray, explained: Any, frames: Sequence[int]) -> None:
    """The map (T, T) to the left, and how much each frame is looked at to the right; the shown frames are marked."""
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.7))
    ticks = Ticks("frames", len(A), Skeleton("", (), ()), explained.frames, by_limb=False)
    draw_map(figure, left, A * len(A), ticks, " (frame)", "weight (1: an equal share)")
    received = A.mean(axis=0) * len(A)
    right.fill_between(range(len(A)), received, 1, color="#3b5a8c", alpha=0.4, linewidth=0)
    right.plot(received, color="#3b5a8c", linewidth=1)
    for frame in frames:
        right.axvline(frame, color=PAIR, linewidth=0.6, linestyle=":")
    right.set_xticks(ticks.places, ticks.names)
    low, high = right.get_ylim()
    right.set_ylim(min(low, 1 - LEAST), max(high, 1 + LEAST))
    right.set_xlim(0, max(len(A) - 1, 1))
    right.set_xlabel("frame of the prepared recording (dotted: drawn below)", fontsize=7)
    right.set_ylabel("attention received\n(1: equal share)", fontsize=7)
    right.tick_params(labelsize=SMALL, length=1.5)
    right.spines[["top", "right"]].set_visible(False)


@plain_style()
def group(bodies: Bodies, explained: Any, looks: np.ndarray) -> Figure:
    """Who looks at whom: the film strip with an arrow from each person to the others, as wide as its weight."""
    shown_frames = bodies.frames(NUM_SHOWN)  # looks (T, M, M)
    xlim, ylim = bodies.limits(shown_frames)
    strip = float(np.clip(PAGE / (NUM_SHOWN + 2) * (ylim[1] - ylim[0]) / (xlim[1] - xlim[0]), 1.3, 2.2))
    figure = new_figure(PAGE, strip + 0.8, dpi=DOTS)
    figure.set_layout_engine("constrained")
    cells = figure.subplots(1, NUM_SHOWN + 1, width_ratios=[1] * NUM_SHOWN + [1.6])
    people = np.flatnonzero(bodies.is_present.any(axis=0))
    bodies.strip(cells[:-1], shown_frames, explained.frames, colored=False)
    for axes, frame in zip(cells[:-1], shown_frames, strict=False):
        middle = {m: np.nanmean(bodies.points[m, frame], axis=0) for m in people if bodies.is_present[frame, m]}
        for i, j in permutations(middle, 2):
            weight = float(looks[frame, i, j])
            style: dict[str, Any] = {"arrowstyle": "-|>", "connectionstyle": "arc3,rad=0.35", "color": PAIR}
            style |= {"alpha": 0.8, "linewidth": 0.2 + 2.5 * weight, "mutation_scale": 5 + 6 * weight}
            axes.annotate("", xy=middle[j], xytext=middle[i], arrowprops=style)
    mean = looks.mean(axis=0)[np.ix_(people, people)]
    picture = cells[-1].imshow(mean, cmap=COLORS, vmin=0, vmax=1)
    for (i, j), weight in np.ndenumerate(mean):
        color = "w" if weight < 0.6 else "k"
        cells[-1].text(j, i, f"{weight:.2f}", ha="center", va="center", fontsize=SMALL, color=color)
    for axis in (cells[-1].xaxis, cells[-1].yaxis):
        axis.set_ticks(range(len(people)), people.astype(str), fontsize=SMALL)
    cells[-1].set_title("mean over frames", fontsize=7, pad=2)
    cells[-1].set_xlabel("person looked at", fontsize=SMALL)
    cells[-1].set_ylabel("person that looks", fontsize=SMALL)
    color_bar(figure, picture, ax=cells[-1], shrink=0.6)
    figure.suptitle(shown([explained.title])[0], fontsize=8)
    figure.supxlabel(explained.score_line("persons"), fontsize=SMALL)
    return figure


@plain_style()
def pictures_of_animation(bodies: Bodies, explained: Any, ticks: Ticks, person: int) -> Iterator[np.ndarray]:
    """RGB pictures (height, width, 3): the body to the left, the heatmap of the same frame to the right."""
    frames, A = bodies.frames(MOST_FRAMES), bodies.pairs[person] * len(bodies.skeleton.joints)
    xlim, ylim = bodies.limits(frames)
    figure = new_figure(6.4, 3.6, dpi=100)
    left, right = figure.add_axes((0.01, 0.08, 0.40, 0.80)), figure.add_axes((0.56, 0.25, 0.36, 0.64))
    bar = figure.add_axes((0.935, 0.25, 0.012, 0.64))
    picture = right.imshow(A[frames[0]][np.ix_(ticks.order, ticks.order)], cmap=COLORS, vmin=A.min(), vmax=A.max())
    ticks.put(right, left=True, below=True, size=5.5)
    color_bar(figure, picture, size=5.5, cax=bar)
    figure.text(0.02, 0.02, explained.score_line("joints"), fontsize=6)
    figure.text(0.02, 0.955, shown([explained.title])[0], fontsize=8)
    for frame in frames:
        left.clear()
        bodies.draw(left, frame, 1.6)
        left.set(xlim=xlim, ylim=ylim)
        left.set_title(frame_title(explained.frames[frame]), fontsize=8, pad=2)
        picture.set_data(A[frame][np.ix_(ticks.order, ticks.order)])
        figure.canvas.draw()
        yield np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]


def colors_of_animation() -> np.ndarray:
    """(256, 3): the map's colours, greys for letters and lines, and the shades of bones and pairs on white."""
    scale = colormap(COLORS, 140)
    greys = np.repeat(np.linspace(0, 255, 64)[:, None], 3, axis=1)
    shades = [np.linspace(np.array(rgb(color)) * 255, [255] * 3, 26) for color in (BONE, PAIR)]
    return np.concatenate([scale, greys, *shades]).round().astype(np.uint8)


def save_gif(path: Path, pictures: Sequence[np.ndarray]) -> None:
    """Writes an animation in few colours, which all pictures share."""
    from PIL import Image  # matplotlib needs it, too

    palette = Image.new("P", (1, 1))
    palette.putpalette(colors_of_animation().tobytes())
    images = [Image.fromarray(p).quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures]
    settings: dict[str, Any] = {"append_images": images[1:], "duration": 1000 // RATE, "loop": 0, "optimize": True}
    with atomic_write(path) as temporary:
        images[0].save(temporary, "GIF", save_all=True, **settings)


def save_mp4(path: Path, pictures: Sequence[np.ndarray]) -> bool:
    """Writes a film by ffmpeg; false where that is not installed, or fails."""
    path.unlink(missing_ok=True)  # a film of an earlier explanation
    program = shutil.which("ffmpeg")
    if program is None:
        return False
    height, width = (size // 2 * 2 for size in pictures[0].shape[:2])  # the usual coding wants even sizes
    data = b"".join(np.ascontiguousarray(p[:height, :width]).tobytes() for p in pictures)
    form = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(RATE), "-i", "-"]
    with suppress(subprocess.CalledProcessError), atomic_write(path) as temporary:
        words = [program, "-y", "-loglevel", "error", *form, "-pix_fmt", "yuv420p", "-f", "mp4", str(temporary)]
        subprocess.run(words, input=data, capture_output=True, check=True)
    return path.exists()


def draw_bodies(explained: Any, skeleton: Skeleton, folder: Path, *, order: str) -> list[Path]:
    """Writes the film strips and the animations of what was explained."""
    T, paths = explained.body.shape[1], list[Path]()
    pairs, frame_map = over_time(explained.seen, "joints", T), between_frames(explained.seen, T)
    bodies = Bodies(explained.body, skeleton, pairs, explained.layout)
    kinds = [kind for kind, is_shown in (("joints", bool(pairs)), ("frames", frame_map is not None)) if is_shown]
    if kinds:
        paths += write(folder, "body", film_strip(bodies, explained, kinds, frame_map))
    looks = over_time(explained.seen, "persons", T)
    if looks and bodies.is_present.any(axis=0).sum() > 1:
        paths += write(folder, "persons", group(bodies, explained, looks[0]))
    ticks = Ticks("joints", skeleton.num_point, skeleton, explained.frames, by_limb=order == "limb")
    for person in pairs:
        pictures = list(pictures_of_animation(bodies, explained, ticks, person))
        path = folder / f"body{f'_person{person}' if person else ''}.gif"
        save_gif(path, pictures)
        paths.append(path)
        if save_mp4(path.with_suffix(".mp4"), pictures):
            paths.append(path.with_suffix(".mp4"))
    return paths
