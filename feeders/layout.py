"""What the channels of a prepared array hold: groups of joints or bones, and in each which are coordinates or a score.

`prepared.yaml` beside the array tells; without it, as with published arrays, every channel counts as a coordinate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from feeders.arrays import SKELETON, load_array, load_prepared, stream_in
from graph import kinetics
from graph.channels import Channels
from graph.common.words import plural


@dataclass(frozen=True)
class Layout:
    """The channels of an array.

    Attributes:
        groups: `joint` or `bone` for each group of channels.
        step: number of channels of a group.
        channels: what those of a group are; None: all are coordinates, of which the first is x.
        flat: why the array cannot be turned in space; empty where it can.
    """

    groups: tuple[str, ...]
    step: int
    channels: Channels | None
    flat: str = ""

    @classmethod
    def of_array(cls, path: str | Path, *, published: bool = False) -> Layout:
        """The layout of an array; with `published` every channel is a coordinate, whatever `prepared.yaml` says.

        Raises:
            ValueError: the array or `prepared.yaml` cannot be read, or they do not fit each other.
        """
        (_, C, _, V, _), kinds = load_array(path).shape, tuple(stream_in(path).split("+"))
        prepared = load_prepared(path)
        if prepared:
            channels, flat = prepared.channels, ""
            if len(channels.position) < 3:
                flat = f"{path} holds {', '.join(channels.names)} of a picture, which has no depth"
            step = len(channels.names)
            return cls((kinds * C)[: C // step], step, None if published else channels, flat)
        is_kinetics = C % 3 == 0 and kinetics.SKELETON.num_point == V and not Path(path).with_name(SKELETON).exists()
        flat = f"{path} has {plural(C, 'channel')}" if C % 3 else ""
        flat = f"{path} holds x, y, score of Kinetics-skeleton, without depth" if is_kinetics else flat
        step = 3 if C % 3 == 0 else C // len(kinds) if C % len(kinds) == 0 else C
        return cls((kinds * C)[: C // step], step, None, flat)

    @property
    def score(self) -> int | None:
        return self.channels.score if self.channels else None

    @property
    def axes(self) -> int:
        """The number of coordinates of a joint."""
        return len(self.channels.position) if self.channels else self.step

    @property
    def drawn(self) -> list[int]:
        """The channels of a group that a skeleton is drawn from: x, y, and z where there is depth."""
        positions = self.positions(self.step)
        channels = list(range(self.step)) if positions is None else positions.tolist()
        return channels[: 2 if self.flat and self.step <= 3 else 3]

    @property
    def is_scored(self) -> bool:
        """Whether the third channel is a score, and no axis of a drawing."""
        return self.drawn == [0, 1] and self.step > 2

    @property
    def is_down(self) -> bool:
        """Whether y grows downwards."""
        return self.channels is not None and self.channels.is_down

    def positions(self, C: int) -> np.ndarray | None:
        """The coordinates among C channels, x, y and z of each group in this order; None: all as they are."""
        return _positions(self.channels, C) if self.channels else None

    def xs(self, C: int) -> range:
        """The x channel of each group among C channels."""
        names = self.channels.names if self.channels else ("x",)
        return range(names.index("x"), C, self.step) if "x" in names else range(0)

    def mirror(self, low: float, high: float, *, scaled: bool) -> float:
        """Where a mirror stands for places with x from `low` to `high`: at 0, or in the middle of picture or skeleton.

        `scaled` coordinates are no longer those of the picture.
        """
        unit, picture = (self.channels.unit, self.channels.picture) if self.channels else ("unknown", None)
        if picture and not scaled:
            return picture[0] / 2
        is_flat = self.channels.is_flat if self.channels else self.step == 2
        of_picture = picture or unit == "pixels" or (is_flat and unit == "unknown")
        return (low + high) / 2 if of_picture else 0.0


def outside_picture(x: np.ndarray, channels: Channels) -> np.ndarray:
    """Which joints lie outside the picture: (..., C, T, V, M) in pixels -> (..., T, V, M) bool.

    Nothing is outside where the channels are no pixels of a picture of known size; missing joints, at zero, are not.
    """
    outside = np.zeros((*x.shape[:-4], *x.shape[-3:]), bool)
    if channels.unit != "pixels" or channels.picture is None:
        return outside
    for name, side in zip(("x", "y"), channels.picture, strict=True):
        if name in channels.names:
            values = x[..., channels.names.index(name), :, :, :]
            outside |= (values < 0) | (values > side)
    return outside


@cache
def _positions(channels: Channels, C: int) -> np.ndarray | None:
    step = len(channels.names)
    if channels.position == (*range(step),) or C % step:
        return None
    return np.add.outer(np.arange(0, C, step), np.array(channels.position, int)).ravel()
