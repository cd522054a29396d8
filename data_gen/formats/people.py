"""Persons by frame, as pose estimators list them, become one recording.

A joint at (0, 0) of a picture, and one in 3-D with score 0 at the origin, is missing. Frames are those that the file
numbers; a number left out is a frame without anybody. Persons are in the file's order; `Recording.identity` holds the
tracker's numbers, -1 where there are none, or where a program without a tracker gives one number to several persons of
a frame.
Axis legend: T frames, M persons, V joints, C channels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from data_gen.formats.arrays import guess_channels
from data_gen.formats.files import Source, missing
from data_gen.formats.recording import Recording
from graph import coco, kinetics, mediapipe, openpose
from graph.channels import Channels, Unit

_SKELETONS = {module.SKELETON.num_point: module.SKELETON for module in (coco, kinetics, openpose, mediapipe)}


class Person(NamedTuple):
    """A person in a frame."""

    joints: np.ndarray  # (V, C)
    names: tuple[str, ...]  # of the channels
    identity: int  # -1: not told


def recording_of_people(
    source: Source,
    numbered: Iterable[tuple[Any, list[Person]]],
    *,
    unit: Unit | None = None,
    picture: tuple[int, int] | None = None,
    **fields: Any,
) -> Recording:
    """The recording of persons by frame; `numbered` frames may be numbers or names that end in one."""
    frames: dict[Any, list[Person]] = {}
    for number, people in numbered:
        frames.setdefault(number, []).extend(people)
    persons = [person for people in frames.values() for person in people]
    if not persons:
        raise ValueError("nobody is in any frame; persons without joints, such as boxes, do not count")
    forms = {(person.joints.shape, person.names) for person in persons}
    if len(forms) > 1:
        (a, _), (b, _), *_ = sorted(forms)
        raise ValueError(f"persons have different joints: {a[0]} in {a[1]} channels, and {b[0]} in {b[1]}")
    ((shape, names),) = forms
    if source.channel not in (None, shape[1]):
        raise ValueError(f"its channels are {', '.join(names)}, not --channel {source.channel}")
    places, frame_numbers, notes = _places(list(frames))
    T, M = len(frame_numbers), max(map(len, frames.values()))
    joints, identity = missing((T, M, *shape)), np.full((T, M), -1)
    for place, people in zip(places, frames.values(), strict=True):
        for m, person in enumerate(people):
            joints[place, m], identity[place, m] = person.joints, person.identity
    numbers = np.sort(identity, axis=1)
    if ((numbers[:, 1:] == numbers[:, :-1]) & (numbers[:, 1:] >= 0)).any():
        identity[:] = -1  # AlphaPose without tracking gives everybody the number 0
    if names == ("x", "y", "score") and np.nanmin(joints[..., 2], initial=0) < 0:
        names = ("x", "y", "z")
    if "z" not in names:  # where nothing is found; the corner of a picture is nobody's joint
        joints[(joints[..., :2] == 0).all(axis=-1)] = np.nan
    if unit is None:
        unit = _unit(joints, names, source)
    channels = Channels(names, unit, picture if unit == "pixels" else None)
    V, known = joints.shape[2], fields.get("skeleton")
    if known is None or known.num_point != V:  # 17 joints in 3-D have another order than COCO's
        fields["skeleton"] = _SKELETONS.get(V) if "z" not in names or mediapipe.SKELETON.num_point == V else None
    return Recording.of(source.name, joints, channels, identity=identity, frames=frame_numbers, notes=notes, **fields)


def _unit(joints: np.ndarray, names: tuple[str, ...], source: Source) -> Unit:
    if "z" not in names:
        inside = np.nanmax(np.abs(joints[..., :2]), initial=0) <= 2
        return "normalised" if inside else guess_channels(joints[..., :2]).unit
    if b"world" in source.head:
        return "metres"
    return "normalised" if "score" in names and joints.shape[2] == 33 else "unknown"


def _places(numbers: list[Any]) -> tuple[list[int], np.ndarray, tuple[str, ...]]:
    """The index of each frame, the numbers of all frames (those that are left out, too), and notes."""
    counted = [_number(number) for number in numbers]
    if None in counted or len(set(counted)) < len(counted):
        return list(range(len(numbers))), np.arange(len(numbers)), ()
    whole = [number for number in counted if number is not None]
    first, last = min(whole), max(whole)
    if last - first >= 10 * len(whole) + 300:  # numbers of pictures, not of frames
        rank = {number: place for place, number in enumerate(sorted(whole))}
        return [rank[number] for number in whole], np.array(sorted(whole)), ("took only the frames with persons",)
    return [number - first for number in whole], np.arange(first, last + 1), ()


def _number(number: Any) -> int | None:
    if isinstance(number, str):
        digits = re.findall(r"\d{1,15}", re.sub(r"\.\w{1,5}$", "", number), re.ASCII)
        return int(digits[-1]) if digits else None
    return number if type(number) is int and 0 <= number < 1 << 53 else None
