"""Recording: the one thing that every reader gives, and that everything else takes.

Axis legend: T frames, M persons, V joints, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.channels import Channels
from graph.common.words import plural
from graph.mapping import as_skeleton, canonical_names
from graph.tools import Skeleton

MAX_VALUE = 1e6  # far beyond any room in millimetres and any picture in pixels


@dataclass(frozen=True)
class Recording:
    """A recorded sequence; a joint that is missing is zero in all channels and False in `present`."""

    name: str
    joints: NDArray[np.floating]  # (T, M, V, C), finite; float32, but for formats whose preparation needs all digits
    present: NDArray[np.bool_]  # (T, M, V)
    channels: Channels
    frame_rate: float | None = None  # frames a second
    skeleton: Skeleton | None = None
    identity: NDArray[np.int64] | None = None  # (T, M): the number of the person in each place; -1: not told
    frames: NDArray[np.int64] | None = None  # (T,): the number of each frame where the file tells it; else from 0
    label: int | str | None = None
    split: str | None = None
    notes: tuple[str, ...] = ()  # what a user should know of how the file was read
    format: str = ""  # a key of `reading.FORMATS`

    def __post_init__(self) -> None:
        T, M, V, C = self.joints.shape
        if len(self.channels.names) != C or self.present.shape != (T, M, V):
            raise RuntimeError(f"joints {self.joints.shape}, present {self.present.shape}, {self.channels} do not fit")
        if self.identity is not None and self.identity.shape != (T, M):
            raise RuntimeError(f"identity {self.identity.shape} does not fit joints {self.joints.shape}")

    @classmethod
    def of(
        cls, name: str, joints: np.ndarray, channels: Channels, *, dtype: type[np.floating] = np.float32, **fields: Any
    ) -> Recording:
        """The recording of `joints` (T, M, V, C) as recorded, where a NaN in any channel makes its joint missing.

        A joint whose score is not above 0 is missing where its position is zero, too, as pose estimators write it; and
        a person whose numbers in a frame are all zero is absent.

        Raises:
            ValueError: a number is beyond any measure, or nothing is there; the message is the rest of a sentence that
                names the file.
        """
        joints = np.asarray(joints)
        if joints.ndim != 4 or 0 in joints.shape[1:]:
            raise ValueError(f"shape (T, M, V, C) expected, found {joints.shape}")
        if len(joints) == 0:
            raise ValueError("it has no frame")
        if (np.abs(joints) >= MAX_VALUE).any():  # NaN compares false
            raise ValueError(f"a coordinate is beyond any measure ({MAX_VALUE:g})")
        present: NDArray[np.bool_] = ~np.asarray(np.isnan(joints).any(axis=3))
        if channels.score is not None:
            position = joints[..., list(channels.position)]
            present &= (joints[..., channels.score] > 0) | (position != 0).any(axis=3)
        kept = np.where(present[..., None], joints, 0).astype(dtype)
        present &= np.asarray(kept.any(axis=(2, 3)))[..., None]
        return cls(name, kept, present, channels, **fields)

    def between(self, first: int, last: int) -> Recording:
        """The frames with these numbers, both ends among them.

        Raises:
            ValueError: there is none.
        """
        numbers = np.arange(len(self.joints)) if self.frames is None else self.frames
        kept = (numbers >= first) & (numbers <= last)
        if not kept.any():
            raise ValueError(f"no frame is from {first} to {last}; its frames are {numbers[0]} to {numbers[-1]}")
        identity = None if self.identity is None else self.identity[kept]
        return replace(
            self, joints=self.joints[kept], present=self.present[kept], identity=identity, frames=numbers[kept]
        )

    def outside(self) -> tuple[int, bool]:
        """How many joints lie outside the picture, and whether none would if its width and height were exchanged."""
        if self.channels.picture is None or self.channels.unit != "pixels":
            return 0, False
        x, y = (self.joints[..., axis][self.present] for axis in self.channels.position[:2])
        width, height = self.channels.picture
        count, turned = (
            int(((x < 0) | (x > a) | (y < 0) | (y > b)).sum()) for a, b in ((width, height), (height, width))
        )
        return count, count > 0 and turned == 0


def fitted(recording: Recording, skeleton: Skeleton) -> Recording:
    """The recording with the joints of `skeleton`, made by name (`graph.mapping`) where the recording names its own.

    Raises:
        ValueError: the numbers of joints differ, and the names do not tell how to make the one from the other.
    """
    V, named = recording.joints.shape[2], recording.skeleton
    if named is None or named == skeleton:
        if skeleton.num_point != V:
            raise ValueError(f"it has {plural(V, 'joint')}, the skeleton has {skeleton.num_point}")
        return recording
    names, wanted = canonical_names(named), canonical_names(skeleton)
    agree = all(names.index(name) == wanted.index(name) for name in set(names) & set(wanted))
    if names == wanted or (skeleton.num_point == V and agree):
        strange = [] if names == wanted else [f"took the joints of {named.name} for those of {skeleton.name}, in order"]
        return replace(recording, notes=(*recording.notes, *strange))
    joints, present = as_skeleton(recording.joints, recording.present, named, skeleton)
    note = f"made the joints of {skeleton.name} of those of {named.name}"
    return replace(recording, joints=joints, present=present, skeleton=skeleton, notes=(*recording.notes, note))


def outside_notes(results: Iterable[tuple[int, bool]], unit: str) -> list[str]:
    """A sentence about recordings with joints outside their pictures, of what `Recording.outside` gives."""
    wrong = [result for result in results if result[0]]
    if not wrong:
        return []
    have = plural(len(wrong), f"{unit} has", f"{unit}s have")
    note = f"{have} joints outside the picture, {sum(count for count, _ in wrong):,} in all"
    if turned := sum(is_turned for _, is_turned in wrong):
        note += f"; in {turned} of them all would be inside if width and height were exchanged (is img_shape turned?)"
    return [note]
