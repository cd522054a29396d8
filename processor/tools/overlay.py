"""Skeletons, boxes and labels drawn into a picture (H, W, 3), uint8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_gen.common.drawing import font_file, shown
from graph.tools import Skeleton
from processor.tools.predictions import COLORS


def overlay(
    picture: np.ndarray,
    poses: Sequence[np.ndarray],
    numbers: Sequence[int],
    labels: Mapping[int | None, str],
    skeleton: Skeleton,
) -> np.ndarray:
    """The picture with each person's bones and number in a colour, and labels.

    Args:
        poses: the joints (V, 3) of each person, in pixels, with a score; 0: not seen.
        numbers: of each, from the tracker.
        labels: by the number of the person; None: of all together, which is written at the top.
        skeleton: the bones of the poses.
    """
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    unit = max(min(picture.shape[:2]) // 240, 1)  # a line's width
    for joints, number in zip(poses, numbers, strict=True):
        color, seen = COLORS[number % len(COLORS)], joints[:, 2] > 0
        for child, parent in skeleton.edges:
            if seen[child] and seen[parent]:
                draw.line([*joints[child, :2], *joints[parent, :2]], fill=color, width=unit)
        for x, y, _ in joints[seen]:
            draw.ellipse((x - unit, y - unit, x + unit, y + unit), fill=color)
        if seen.any():
            (left, top), (right, bottom) = joints[seen, :2].min(axis=0), joints[seen, :2].max(axis=0)
            draw.rectangle((left, top, right, bottom), outline=color, width=unit)
            _write(draw, f"{number} {labels.get(number, '')}".strip(), (left, top), 12 * unit, color, above=True)
    if text := labels.get(None):
        _write(draw, text, (4 * unit, 4 * unit), 16 * unit, "#24292f")
    return np.asarray(image)


def _write(
    draw: ImageDraw.ImageDraw, text: str, place: tuple[float, float], size: int, color: str, *, above: bool = False
) -> None:
    """Writes white letters on a ground of a colour, inside the picture."""
    (text,) = shown([text])
    font = _font(text, size)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    x = max(min(place[0], draw.im.size[0] - right), 0)
    y = max(place[1] - bottom if above else place[1], 0)
    draw.rectangle((x + left, y + top, x + right, y + bottom), fill=color)
    draw.text((x, y), text, fill="white", font=font)


@lru_cache(maxsize=256)
def _font(text: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_file(text), size)
