"""What the headings of a table's columns mean: which channel of which joint, the frame, the person, or nothing.

A heading is split into words at signs, digits and capital letters. One word is the channel: the last, or else the
first (`lm_0_x`, `x1`, `LeftShoulderX`, `X_HAND_LEFT`, `nose.confidence`); `p1_`, `person 2` and the like before a joint
are the person; the rest is the joint. Joints that are numbered come in the order of their numbers, whatever the order
of the columns; others must be those of the skeleton, or of a known one, by their names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from graph import azure_kinect, coco, kinetics, mediapipe, ntu_rgb_d, nw_ucla, openpose
from graph.common.words import did_you_mean, plural
from graph.mapping import canonical_names
from graph.tools import Skeleton

SCORE_WORDS = ("score", "scores", "conf", "confidence", "c", "v", "vis", "visibility", "visible",
               "likelihood", "prob", "p")  # fmt: skip
_CHANNEL = {name: name for name in "xyz"} | dict.fromkeys(SCORE_WORDS, "score")
_NUMBER = "( ?(id|no|nr|num|number|idx|index))"
_ROLES = {  # headings of columns that say which frame, person or joint a line is of
    "frame": re.compile(f"f|frame{_NUMBER}?"),
    "person": re.compile(f"(person|track|tracking|body|player|user|actor){_NUMBER}?|(subject|skeleton){_NUMBER}"),
    "joint": re.compile(f"(joint|landmark|key ?point|kpt?|node|marker|(body ?)?part)({_NUMBER}| ?(name|type))?"),
}
_PERSONS = ("person", "p", "body", "player", "skeleton")  # before the number of a person
CHANNELS = ("x", "y", "z", "score")
_UNITS = {"m", "mm", "cm", "px", "pixel", "pixels"}  # behind a channel
_NO_NAMES = {"pos", "position", "coord", "coordinate"}  # words that name no joint
_NO_JOINT = {"bbox", "box"}
# beside positions, columns of joints with these words are left out
_NO_POSITION = {
    "rot",
    "rotation",
    "orientation",
    "quat",
    "quaternion",
    "euler",
    "vel",
    "velocity",
    "acc",
    "acceleration",
}
# keys by which a joint in JSON says which one it is
_NAMING = ("name", "joint", "joint_name", "joint_type", "keypoint", "landmark", "part", "body_part", "marker", "id",
           "joint_id", "index", "joint_index")  # fmt: skip
# keys of a list of all joints' names
_LISTS = ("joint_names", "keypoint_names", "landmark_names", "marker_names", "jointNames", "keypointNames", "joints",
          "keypoints", "names")  # fmt: skip
_KNOWN = [module.SKELETON for module in (coco, kinetics, openpose, mediapipe, ntu_rgb_d, nw_ucla, azure_kinect)]


class Columns(NamedTuple):
    """Where a table holds what."""

    names: tuple[str, ...]  # of the channels
    places: list[list[int]]  # the columns of each joint's channels, person by person
    num_person: int
    frame: int | None
    person: int | None
    joint: int | None
    extra: list[int]  # the columns that are none of these
    line_is_joint: bool
    skeleton: Skeleton | None  # whose joints `places` are


def words_of(heading: str) -> list[str]:
    """`LeftShoulderX` -> left, shoulder, x; `FRAME_ID` -> frame, id."""
    return [word.lower() for word in re.findall(r"\d+|[A-Z]+(?![a-z])|[^\W\d_][^\W\d_A-Z]*", heading)]


def is_numbered_person(name: str) -> bool:
    """Whether a name is that of a person with a number, such as person_0, Body 2 or track7."""
    words = words_of(name)
    return len(words) == 2 and words[0] in (*_PERSONS, "actor", "id", "subject", "track") and words[1].isdigit()


def joints_by_name(joints: Any) -> Any:
    """A list of joints that say which they are (`name`, `part`, `id` ...): a mapping by name, or a list by number.

    Anything else stays as it is.
    """
    if not isinstance(joints, list) or len(joints) < 2 or not all(isinstance(joint, dict) for joint in joints):
        return joints
    keys = {"_".join(words_of(key)): key for key in joints[0]}
    for key in filter(None, map(keys.get, _NAMING)):
        told = [joint.get(key) for joint in joints]
        names = [str(name) for name in told if name not in ("", None) and not isinstance(name, bool | float | list)]
        if len(set(names)) < len(joints):
            continue
        by_name = dict(zip(names, joints, strict=True))
        numbers = sorted(names, key=int) if all(map(str.isdecimal, names)) else []
        is_counted = (
            bool(numbers) and int(numbers[0]) in (0, 1) and int(numbers[-1]) - int(numbers[0]) == len(names) - 1
        )
        return [by_name[number] for number in numbers] if is_counted else by_name
    return joints


def skeleton_named(content: Mapping[str, Any]) -> Skeleton | None:
    """The joints that a file names in a list beside its numbers; None: it has no such list."""
    for key in _LISTS:
        names = content[key].tolist() if hasattr(content.get(key), "tolist") else content.get(key)
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            return Skeleton("the file", tuple(names), (0,) * len(names))
    return None


def channel_keys(joint: dict[str, Any]) -> dict[str, str]:
    """The key of each channel of a joint that is a mapping: x -> X, score -> likelihood; empty if x or y lacks."""
    no_score = {"v"} if "u" in joint else set()  # u and v are pixels
    keys = {_CHANNEL[key.lower()]: key for key in reversed(joint) if key.lower() in _CHANNEL.keys() - no_score}
    return {name: keys[name] for name in CHANNELS if name in keys} if {"x", "y"} <= keys.keys() else {}


def columns_of(heading: Sequence[str], skeleton: Skeleton | None) -> Columns:
    """What the columns with these headings hold.

    Raises:
        ValueError: joints lack channels, or their order cannot be told.
    """
    roles: dict[str, int | None] = {"frame": None, "person": None, "joint": None}
    cells: dict[tuple[int, str], dict[str, int]] = {}
    doubled: dict[tuple[int, str], str] = {}
    heading = _counted(heading)
    no_score = {"v"} if any("u" in words_of(text) for text in heading) else set()  # u and v are pixels
    for column, text in enumerate(heading):
        words = words_of(text)
        role = next((role for role, names in _ROLES.items() if names.fullmatch(" ".join(words))), None)
        if role and roles[role] is None:
            roles[role] = column
            continue
        place = _cell(words, no_score)
        place = place or _cell(words_of(re.sub(r"(?<=[^\W\d_])([XYZ])$", r" \1", text)), no_score)  # HIPX
        if place is not None:
            person, joint, channel = place
            if channel in cells.setdefault((person, joint), {}):
                doubled[person, joint] = channel
            cells[person, joint][channel] = column
    cells = {key: channels for key, channels in cells.items() if {"x", "y"} <= channels.keys()}
    positions = {key: channels for key, channels in cells.items() if _NO_POSITION.isdisjoint(key[1].split())}
    cells = positions or cells
    if not cells:
        raise ValueError(f"no column of its heading is x or y of a joint ({', '.join(heading)!a:.80})")
    alone = cells.pop((0, ""), {})  # x and y without a joint
    line_is_joint = bool(alone) and (roles["joint"] is not None or not cells)
    if line_is_joint:
        cells = {(0, ""): alone}
    else:
        roles["joint"] = None
    for person, joint in cells.keys() & doubled.keys():
        raise ValueError(f"two columns of its heading are {doubled[person, joint]} of {joint or 'a joint'}")
    names = _channel_names(cells)
    persons = sorted({person for person, _ in cells})
    joints = list(dict.fromkeys(joint for _, joint in cells))
    if not line_is_joint:
        joints, skeleton = ordered(joints, skeleton)
    if len(cells) != len(persons) * len(joints):
        raise ValueError("its heading names other joints for one person than for another")
    places = [[cells[person, joint][name] for name in names] for person in persons for joint in joints]
    used = {column for place in places for column in place} | set(roles.values())
    extra = [column for column in range(len(heading)) if column not in used]
    return Columns(names, places, len(persons), **roles, extra=extra, line_is_joint=line_is_joint, skeleton=skeleton)


def _counted(heading: Sequence[str]) -> list[str]:
    """Headings x, y, z that come again and again, as such or as pandas counts them (x.1, x.2), with their number."""
    names = [re.sub(r"\.\d+$", "", text.strip().lower()) for text in heading]
    seen: Counter[str] = Counter()
    counted = []
    for text, name in zip(heading, names, strict=True):
        again = name in "xyz" and names.count(name) > 1
        counted.append(f"{name}_{seen[name]}" if again else text)
        seen[name] += 1
    return counted


def _cell(words: list[str], no_score: Collection[str]) -> tuple[int, str, str] | None:
    """Person, joint and channel of a heading, or None if it names no channel; `no_score` are no words for a score."""
    words = [word for word in words if word not in _NO_NAMES]
    if len(words) > 1 and words[-1] in _UNITS and {words[0], words[-2]} & _CHANNEL.keys():
        words = words[:-1]
    person, words = _person(words, 3)  # before p is taken for a probability
    ends = (place for place in (len(words) - 1, 0) if words)
    place = next((place for place in ends if words[place] in _CHANNEL.keys() - no_score), None)
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
    return tuple(name for name in CHANNELS if name in counts)


def ordered(joints: Iterable[str], skeleton: Skeleton | None) -> tuple[list[str], Skeleton | None]:
    """Names of joints in the order of the V axis, and the skeleton that has them: this one, or a known one.

    Raises:
        ValueError: they are neither numbered without a gap, nor those of the skeleton or of a known one.
    """
    joints = list(joints)
    for names in (joints, _without_prefix(joints)):
        for known in (skeleton, *_KNOWN):
            if known and (order := _by_name(names, known)):
                return [joints[names.index(name)] for name in order], known
    numbers = {joint: int(digits[0]) for joint in joints if (digits := re.search(r"\d+$", joint))}
    if len(numbers) == len(joints) and len({re.sub(r"\d+$", "", joint) for joint in joints}) == 1:
        by_number, counted = sorted(joints, key=numbers.__getitem__), sorted(numbers.values())
        if counted[0] in (0, 1) and counted == list(range(counted[0], counted[0] + len(counted))):
            is_other = skeleton is None or skeleton.num_point != len(joints)
            is_mediapipe = len(joints) == mediapipe.SKELETON.num_point  # no other program has as many
            return by_number, mediapipe.SKELETON if is_mediapipe and is_other else skeleton
        gap = next((number for number in range(counted[-1]) if number not in counted and number >= 1), counted[0])
        raise ValueError(f"its joints are numbered from {counted[0]} to {counted[-1]}, and {gap} is not there")
    if skeleton is None:
        return joints, None
    named = {joint_key(name) for name in skeleton.joints}
    lacking = next((name for name in skeleton.joints if joint_key(name) not in map(joint_key, joints)), None)
    strange = next((joint for joint in joints if joint_key(joint) not in named), None)
    told = [f"{strange!r} is no joint of the skeleton"] if strange is not None else []
    told += [f"{lacking!r} of the skeleton is not there{did_you_mean(lacking, joints)}"] if lacking else []
    problem = ", and ".join(told) or "one is there twice"
    raise ValueError(f"the order of its {plural(len(joints), 'joint')} cannot be told: {problem}")


def _without_prefix(joints: Sequence[str]) -> list[str]:
    """Names of joints without the words that all begin with: `pose nose`, `PoseLandmark.NOSE`."""
    words = [words_of(joint) for joint in joints]
    shared = len(list(takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))))
    return [" ".join(each[shared:]) for each in words]


def _by_name(joints: Sequence[str], skeleton: Skeleton) -> list[str] | None:
    """The joints in the skeleton's order, in any spelling; None: they are not just its joints."""
    canonical = canonical_names(Skeleton("", tuple(joints), (0,) * len(joints)))
    for keys, names in (
        ([joint_key(joint) for joint in joints], [joint_key(name) for name in skeleton.joints]),
        (canonical, canonical_names(skeleton)),
    ):
        if len(joints) == len(names) and set(keys) == set(names):
            joint_of = dict(zip(keys, joints, strict=True))
            return [joint_of[name] for name in names]
    return None


def joint_key(name: str) -> str:
    """A joint's name without signs and letter case: `Left Shoulder`, `left_shoulder` and `leftShoulder` are one."""
    return re.sub(r"[\W_]", "", name).lower()
