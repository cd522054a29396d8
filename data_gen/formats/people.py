"""Persons by frame, as pose estimators list them, become one recording.

A joint at (0, 0) of a picture, and one in 3-D with score 0 at the origin, is missing. Frames are those that the file
numbers; a number left out is a frame without anybody. Persons are in the file's order; `Recording.identity` holds the
tracker's numbers, -1 where there are none, or where a program without a tracker gives one number to several persons of
a frame.
Axis legend: T frames, M persons, V joints, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from data_gen.formats.arrays import MAX_SCORE, guess_channels
from data_gen.formats.files import Source, missing
from data_gen.formats.headings import ordered
from data_gen.formats.places import frame_places
from data_gen.formats.recording import Recording
from graph import coco, kinetics, mediapipe, openpose
from graph.channels import Channels, Unit

_SKELETONS = {module.SKELETON.num_point: module.SKELETON for module in (coco, kinetics, openpose, mediapipe)}
UNTOLD = "z or score"  # the third number of a joint where neither a key nor a name tells which


class Person(NamedTuple):
    """A person in a frame."""

    joints: np.ndarray  # (V, C)
    names: tuple[str, ...]  # of the channels; the third may be `UNTOLD`
    identity: int = -1  # -1: not told
    unit: Unit | None = None  # where the file tells it
    joint_names: tuple[str, ...] = ()  # where the file has no order of joints


def recording_of_people(
    source: Source,
    numbered: Iterable[tuple[Any, list[Person]]],
    *,
    picture: tuple[int, int] | None = None,
    third: str | None = None,
    **fields: Any,
) -> Recording:
    """The recording of persons by frame; `numbered` frames may be numbers or names that end in one.

    `third` is what the third number of a joint is if the persons do not tell it.
    """
    frames: dict[Any, list[Person]] = {}
    for number, people in numbered:
        frames.setdefault(number, []).extend(people)
    frames = _with_all_joints(frames)
    persons = [person for people in frames.values() for person in people]
    if not persons:
        raise ValueError("nobody is in any frame; persons without joints, such as boxes, do not count")
    forms = {(person.joints.shape, person.names, person.joint_names) for person in persons}
    if len(forms) > 1:
        (a, *_), (b, *_), *_ = sorted(forms)
        raise ValueError(f"persons have different joints: {a[0]} in {a[1]} channels, and {b[0]} in {b[1]}")
    ((shape, names, joint_names),) = forms
    units = {person.unit for person in persons}
    if len(units) > 1:
        raise ValueError("some persons are in the picture, others in space; write one kind of landmarks only")
    places = frame_places(frames)
    T, M = len(places.numbers), max(map(len, frames.values()))
    joints, identity = missing((T, M, *shape)), np.full((T, M), -1)
    for name, people in frames.items():
        for m, person in enumerate(people):
            joints[places.of[name], m], identity[places.of[name], m] = person.joints, person.identity
    if joint_names:
        order, skeleton = ordered(joint_names, source.skeleton)
        if skeleton is None:
            raise ValueError("its joints have names; give a skeleton, which says their order")
        joints, fields["skeleton"] = joints[:, :, [joint_names.index(name) for name in order]], skeleton
    numbers = np.sort(identity, axis=1)
    if ((numbers[:, 1:] == numbers[:, :-1]) & (numbers[:, 1:] >= 0)).any():
        identity[:] = -1  # AlphaPose without tracking gives everybody the number 0
    if UNTOLD in names:
        names = ("x", "y", third or ("score" if _are_scores(joints) else "z"))
    if source.channel not in (None, shape[1]):
        raise ValueError(f"its channels are {', '.join(names)}, not --channel {source.channel}")
    if "z" not in names:  # where nothing is found; the corner of a picture is nobody's joint
        joints[(joints[..., :2] == 0).all(axis=-1)] = np.nan
    unit = _unit(joints, names, units.pop())
    pictures = {"pixels": picture, "normalised": (1, 1)}  # whose corner is the origin
    channels = Channels(names, unit, pictures.get(unit))
    V, known = joints.shape[2], fields.get("skeleton")
    if known is None or known.num_point != V:  # 17 joints in 3-D have another order than COCO's
        fields["skeleton"] = _SKELETONS.get(V) if "z" not in names or mediapipe.SKELETON.num_point == V else None
    if "frame_rate" in fields:  # it is the video's
        fields["frame_rate"] /= places.stride
    fields |= {"identity": identity, "frames": places.numbers, "notes": places.notes}
    return Recording.of(source.name, joints, channels, **fields)


def _with_all_joints(frames: dict[Any, list[Person]]) -> dict[Any, list[Person]]:
    """The persons, each with all joints that any of them names; those that a person lacks are NaN."""
    named = sorted({name for people in frames.values() for person in people for name in person.joint_names})

    def filled(person: Person) -> Person:
        if not person.joint_names or person.joint_names == (*named,):
            return person
        joints = missing((len(named), person.joints.shape[1]))
        joints[[named.index(name) for name in person.joint_names]] = person.joints
        return person._replace(joints=joints, joint_names=(*named,))

    return {number: list(map(filled, people)) for number, people in frames.items()}


def _are_scores(joints: np.ndarray) -> bool:
    """Whether the third of x, y and another number can be a score.

    Heat maps of pictures have some above 1; beside fractions, COCO's 0, 1 and 2 say whether a joint is seen.
    """
    third = joints[..., 2][~np.isnan(joints[..., 2])]
    is_picture = guess_channels(joints[..., :2]).unit == "pixels"
    most = 100 if is_picture or np.isin(third, (0, 1, 2)).all() else MAX_SCORE
    return bool(((third >= 0) & (third <= most)).all())


def _unit(joints: np.ndarray, names: tuple[str, ...], told: Unit | None) -> Unit:
    largest = np.nanmax(np.abs(joints[..., :2]), initial=0)
    if told == "metres" or (told == "normalised" and largest <= 10):
        return told
    if "z" not in names:
        return "normalised" if largest <= 2 else guess_channels(joints[..., :2]).unit
    return "normalised" if "score" in names and joints.shape[2] == mediapipe.SKELETON.num_point else "unknown"
