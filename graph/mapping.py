"""The joints of one skeleton as those of another, by their names: `as_skeleton(joints, present, source, target)`.

A joint is found by its name in any spelling (`LeftHand`, `left_hand`, `HAND_LEFT`, `l_hand`), or by another name of the
same joint (`NAMES`), or it is the mean of joints (`RULES`): the centre of the hips, the spine, the neck. What neither
gives, such as the nose of a Kinect, cannot be made. Coordinates are not turned: where y points to is the source's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from graph.channels import Channels
from graph.tools import Skeleton

NAMES = {  # other names of the same joint
    "hip center": ("pelvis", "spine base", "mid hip", "middle hip", "hips", "root"),
    "spine": ("spine mid", "mid spine", "spine navel", "torso"),
    "shoulder center": ("spine shoulder", "mid shoulder"),
    "spine chest": ("chest",),
    "hand tip": ("handtip",),
    "foot index": ("toe",),
}
RULES = {  # the joints whose mean a joint is, * its side; the first rule is taken whose joints there are
    "hip center": (("left hip", "right hip"),),
    "shoulder center": (("left shoulder", "right shoulder"),),
    "spine": (("hip center", "shoulder center"),),
    "spine chest": (("spine", "shoulder center"),),
    "neck": (("shoulder center", "head"),),
    "head": (("left ear", "right ear"), ("left eye", "right eye"), ("nose",)),
    "* clavicle": (("shoulder center", "* shoulder"),),
    "* hand": (("* index", "* pinky"),),
    "* hand tip": (("* index",),),
    "* foot": (("* foot index",), ("* big toe", "* small toe"), ("* big toe",)),
    "* foot index": (("* foot",), ("* big toe",)),
    "* big toe": (("* foot index",), ("* foot",)),
}
_SIDES = {"left": "left", "right": "right", "l": "left", "r": "right"}
_GAP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=^[LR])(?=[A-Z][a-z])|[\W_]+")  # LeftHand, LBigToe, left_hand


def canonical_names(skeleton: Skeleton) -> tuple[str, ...]:
    """The names of a skeleton's joints in lower case, the side first, as `NAMES` and `RULES` have them.

    A neck is between the shoulders in skeletons without another joint there (OpenPose, OpenNI), else above them.
    """
    names = [_canonical(joint) for joint in skeleton.joints]
    if not {"shoulder center", "spine chest"} & set(names):
        names = ["shoulder center" if name == "neck" else name for name in names]
    return tuple(names)


def sources(source: Skeleton, target: Skeleton) -> list[tuple[int, ...]]:
    """The joints of `source` whose mean each joint of `target` is; an empty tuple for a joint that cannot be made."""
    known, wanted = canonical_names(source), canonical_names(target)
    return [tuple(_parts(name, known)) for name in wanted]


def as_skeleton(
    joints: NDArray[np.floating],
    present: NDArray[np.bool_],
    source: Skeleton,
    target: Skeleton,
    *,
    partial: bool = False,
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """The joints (..., V, C) of `source` as the joints (..., V', C) of `target`, and which of them are there.

    A mean of joints, its score too, is there only where all of them are. Missing joints are zero.

    Args:
        joints: (..., V, C), any channels.
        present: (..., V), whether a joint is there.
        source: the skeleton that they are of.
        target: the skeleton that is wanted.
        partial: joints that cannot be made are missing, instead of an error.

    Raises:
        ValueError: joints cannot be made; the message names them.
    """
    parts = sources(source, target)
    lacking = [joint for joint, of in zip(target.joints, parts, strict=True) if not of]
    if lacking and not partial:
        raise ValueError(f"{source.name} joints do not make these of {target.name}: {', '.join(lacking)}")
    y = np.zeros((*joints.shape[:-2], target.num_point, joints.shape[-1]), joints.dtype)
    is_made = np.zeros(y.shape[:-1], bool)
    for joint, of in enumerate(parts):
        if of:
            is_made[..., joint] = present[..., of].all(axis=-1)
            y[..., joint, :] = np.where(is_made[..., joint, None], joints[..., of, :].mean(axis=-2), 0)
    return y, is_made


def in_metres(
    joints: NDArray[np.floating], present: NDArray[np.bool_], channels: Channels
) -> tuple[NDArray[np.floating], Channels]:
    """Joints (..., V, C) in space with their coordinates in metres, where these are millimetres; others as they are.

    Azure Kinect gives millimetres. Where the unit is unknown, the size of bodies tells it: nobody is 50 m high.

    Raises:
        ValueError: the unit is said to be metres, but bodies have the size of millimetres.
    """
    if len(channels.position) < 3 or channels.unit in ("pixels", "normalised"):
        return joints, channels
    size = body_size(joints[..., channels.position], present)
    if channels.unit == "metres" and size > 50:
        raise ValueError(f"channels: unit is metres, but bodies are {size:.0f} high or wide; say millimetres")
    if channels.unit == "millimetres" or (channels.unit == "unknown" and size > 50):
        y = joints.copy()
        y[..., channels.position] /= 1000
        return y, replace(channels, unit="metres")
    return joints, channels


def body_size(positions: NDArray[np.floating], present: NDArray[np.bool_]) -> float:
    """The median over bodies (..., V, 3) of the longest side of the box around each; 0 without bodies."""
    mask = present[..., None]
    low = np.min(positions, axis=-2, where=mask, initial=np.inf)
    high = np.max(positions, axis=-2, where=mask, initial=-np.inf)
    bodies = (high - low)[present.any(axis=-1)]
    return float(np.median(bodies.max(axis=-1))) if len(bodies) else 0.0


def _canonical(joint: str) -> str:
    words = _GAP.sub(" ", joint).lower().replace("centre", "center").split()
    side = next((_SIDES[word] for word in words if word in _SIDES), "")
    name = " ".join(word for word in words if word not in _SIDES)
    name = next((known for known, others in NAMES.items() if name in others), name)
    return f"{side} {name}".strip()


def _parts(name: str, known: Sequence[str], beyond: tuple[str, ...] = ()) -> list[int]:
    """The joints among `known` whose mean is the joint `name`, each as often as it counts; none: it cannot be made."""
    if name in known:
        return [known.index(name)]
    side = name.split()[0] if name.startswith(("left ", "right ")) else ""
    for rule in RULES.get(f"*{name.removeprefix(side)}" if side else name, ()):
        ends = [end.replace("*", side) for end in rule]
        parts = [_parts(end, known, (*beyond, name)) for end in ends if end not in beyond]
        if len(parts) == len(ends) and all(parts):
            sizes = np.lcm.reduce([len(part) for part in parts])
            return [joint for part in parts for joint in part * (sizes // len(part))]
    return []
