"""What the headings of a table's columns mean: which channel of which joint, the frame, the person, or nothing.

A heading is split into words at signs, digits and capital letters. One word is the channel: the last, or else the
first (`lm_0_x`, `x1`, `LeftShoulderX`, `nose.confidence`); `p1_`, `person 2` and the like before a joint are the
person; the rest is the joint. Joints that are numbered come in the order of their numbers, whatever the order of the
columns; others must be those of the skeleton, by their names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from graph.common.words import did_you_mean, plural
from graph.mapping import canonical_names
from graph.tools import Skeleton

_CHANNEL = {name: name for name in "xyz"} | dict.fromkeys(
    ("score", "scores", "conf", "confidence", "c", "v", "vis", "visibility", "visible", "likelihood", "prob", "p"),
    "score",
)
_ROLES = {  # headings of columns that say which frame, person or joint a line is of
    "frame": re.compile("f|frame ?(id|number|index|idx|num|no)?"),
    "person": re.compile("(person|track|tracking|body|player) ?(id|index|idx|number)?|(subject|skeleton) id"),
    "joint": re.compile("(joint|landmark|keypoint) ?(id|name|index)?|(body ?)?part|kp|marker"),
}
_PERSONS = ("person", "p", "body", "player", "skeleton")  # before the number of a person
_UNITS = {"m", "mm", "cm", "px", "pixel", "pixels"}  # behind a channel
_NO_NAMES = {"pos", "position", "coord", "coordinate"}  # words that name no joint
_NO_JOINT = {"bbox", "box"}


class Columns(NamedTuple):
    """Where a table holds what."""

    names: tuple[str, ...]  # of the channels
    places: list[list[int]]  # the columns of each joint's channels, person by person
    num_person: int
    frame: int | None
    person: int | None
    joint: int | None  # a line is a joint
    extra: list[int]  # the columns that are none of these


def words_of(heading: str) -> list[str]:
    """`LeftShoulderX` -> left, shoulder, x."""
    return [word.lower() for word in re.findall(r"\d+|[^\W\d_]+?(?=[A-Z][a-z]|[A-Z]\b|_|\d|\W|$)", heading)]


def columns_of(heading: Sequence[str], skeleton: Skeleton | None) -> Columns:
    """What the columns with these headings hold.

    Raises:
        ValueError: joints lack channels, or their order cannot be told.
    """
    roles: dict[str, int | None] = {"frame": None, "person": None, "joint": None}
    cells: dict[tuple[int, str], dict[str, int]] = {}
    doubled: dict[tuple[int, str], str] = {}
    for column, text in enumerate(heading):
        words = words_of(text)
        role = next((role for role, names in _ROLES.items() if names.fullmatch(" ".join(words))), None)
        if role and roles[role] is None:
            roles[role] = column
            continue
        place = _cell(words)
        if place is not None:
            person, joint, channel = place
            if channel in cells.setdefault((person, joint), {}):
                doubled[person, joint] = channel
            cells[person, joint][channel] = column
    cells = {key: channels for key, channels in cells.items() if {"x", "y"} <= channels.keys()}
    if not cells:
        raise ValueError(f"no column of its heading is x or y of a joint ({', '.join(heading)!a:.80})")
    alone = cells.pop((0, ""), {})  # x and y without a joint: a line is a joint
    if alone and (roles["joint"] is not None or not cells):
        cells = {(0, ""): alone}
    else:
        roles["joint"] = None
    for person, joint in cells.keys() & doubled.keys():
        raise ValueError(f"two columns of its heading are {doubled[person, joint]} of {joint or 'a joint'}")
    names = _channel_names(cells)
    persons = sorted({person for person, _ in cells})
    joints = list(dict.fromkeys(joint for _, joint in cells))
    joints = joints if joints == [""] else ordered(joints, skeleton)
    if len(cells) != len(persons) * len(joints):
        raise ValueError("its heading names other joints for one person than for another")
    places = [[cells[person, joint][name] for name in names] for person in persons for joint in joints]
    used = {column for place in places for column in place} | set(roles.values())
    extra = [column for column in range(len(heading)) if column not in used]
    return Columns(names, places, len(persons), roles["frame"], roles["person"], roles["joint"], extra)


def _cell(words: list[str]) -> tuple[int, str, str] | None:
    """Person, joint and channel of a heading, or None if it names no channel."""
    words = [word for word in words if word not in _NO_NAMES]
    if len(words) > 1 and words[-1] in _UNITS and {words[0], words[-2]} & _CHANNEL.keys():
        words = words[:-1]
    person, words = _person(words, 3)  # before p is taken for a probability
    place = next((place for place in (len(words) - 1, 0) if words and words[place] in _CHANNEL), None)
    if place is None or _NO_JOINT & set(words):
        return None
    number, rest = _person(words[:place] + words[place + 1 :], 2)
    return person or number, " ".join(rest), _CHANNEL[words[place]]


def _person(words: list[str], least: int) -> tuple[int, list[str]]:
    """The person at the begin of more than `least` words, or else 0, and the other words."""
    is_person = len(words) > least and words[0] in _PERSONS and words[1].isdigit()
    return (int(words[1]), words[2:]) if is_person else (0, words)


def _channel_names(cells: dict[tuple[int, str], dict[str, int]]) -> tuple[str, ...]:
    """The channels that all joints have."""
    counts = Counter(name for channels in cells.values() for name in channels)
    for (_, joint), channels in cells.items():
        if lacking := counts.keys() - channels.keys():
            raise ValueError(f"its heading names no {min(lacking)} of {joint or 'a joint'}")
    return tuple(name for name in ("x", "y", "z", "score") if name in counts)


def ordered(joints: Iterable[str], skeleton: Skeleton | None) -> list[str]:
    """Names of joints in the order of the V axis.

    Raises:
        ValueError: they are neither numbered without a gap, nor those of the skeleton.
    """
    joints = list(joints)
    known: dict[str, int] = {}
    if skeleton:
        known = {joint_key(name): place for place, name in enumerate(skeleton.joints)}
        own = canonical_names(Skeleton("", tuple(joints), (0,) * len(joints)))
        for keys, places in (
            ([joint_key(joint) for joint in joints], known),
            (own, {name: place for place, name in enumerate(canonical_names(skeleton))}),
        ):
            if set(keys) == places.keys() and len(joints) == len(places):
                return [joint for _, joint in sorted(zip(map(places.__getitem__, keys), joints, strict=True))]
    numbers = {joint: int(found[0]) for joint in joints if (found := re.search(r"\d+$", joint))}
    if len(numbers) == len(joints) and len({re.sub(r"\d+$", "", joint) for joint in joints}) == 1:
        by_number, counted = sorted(joints, key=numbers.__getitem__), sorted(numbers.values())
        if counted[0] in (0, 1) and counted == list(range(counted[0], counted[0] + len(counted))):
            return by_number
        gap = next((number for number in range(counted[-1]) if number not in counted and number >= 1), counted[0])
        raise ValueError(f"its joints are numbered from {counted[0]} to {counted[-1]}, and {gap} is not there")
    if skeleton is None:
        return joints
    lacking = next((name for name in skeleton.joints if joint_key(name) not in map(joint_key, joints)), None)
    strange = next((joint for joint in joints if joint_key(joint) not in known), joints[0])
    told = f", and {lacking!r} of the skeleton is not there{did_you_mean(lacking, joints)}" if lacking else ""
    raise ValueError(
        f"the order of its {plural(len(joints), 'joint')} cannot be told: {strange!r} is no joint of the skeleton{told}"
    )


def joint_key(name: str) -> str:
    """A joint's name without signs and letter case: `Left Shoulder`, `left_shoulder` and `leftShoulder` are one."""
    return re.sub(r"[\W_]", "", name).lower()
