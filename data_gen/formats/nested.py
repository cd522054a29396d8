"""Nested lists of numbers in JSON: [T][V][C], [T][M][V][C] or [T][M*V*C], alone or under a key.

Persons may come and go, a frame may be empty, a joint null. A mapping may stand for a list: of frames or persons by
their numbers, of joints by the skeleton's names, of coordinates and a score by theirs. Each person may have frames
(`person_0`, `body_1`). The scores of joints may be under another key.
Axis legend: T frames, M persons, V joints, C channels.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from data_gen.formats.arrays import JOINTS, SCORES, named_channels, one_of, recording_of
from data_gen.formats.files import Source, missing
from data_gen.formats.headings import (
    CHANNELS,
    channel_keys,
    is_numbered_person,
    joints_by_name,
    ordered,
    skeleton_named,
)
from data_gen.formats.places import frame_places, person_places
from data_gen.formats.recording import Recording
from graph.tools import Skeleton

_FRAME = re.compile(r"^\d+$|(frame|image|img|pic)\w*\d|\d\.\w{3,4}$", re.IGNORECASE)
_NO_LISTS = "not nested lists of numbers [T][V][C], [T][M][V][C] or [T][M*V*C], of equal lengths"


class _Nested(NamedTuple):
    """Lists as an array (T, V, C), (T, M, V, C) or (T, M*V*C), and what mappings in them tell."""

    joints: np.ndarray
    fields: dict[str, Any]  # of the recording


def read_nested(source: Source) -> Iterator[Recording]:
    """The recording of nested lists; errors as `Recording.of`, or another form."""
    content: Any = source.json
    if not isinstance(content, dict) or _are_frames(content):
        joints, fields = _nested(content, source.skeleton)
        yield recording_of(source.name, joints, source, **fields)
        return
    named = [content[key] for key in JOINTS if isinstance(content.get(key), list | dict)]
    deep = {key: value for key, value in content.items() if key not in SCORES and depth_of(value) >= 2}
    deeper = {key: value for key, value in deep.items() if depth_of(value) >= 3}
    are_persons = bool(deeper) and all(map(is_numbered_person, deeper))
    lists = named[:1] or ([deeper] if are_persons else [*(deeper or deep).values()])
    if len(lists) != 1:
        raise ValueError(_NO_LISTS)
    joints, fields = _nested(lists[0], source.skeleton)
    if named_joints := skeleton_named(content):
        fields.setdefault("skeleton", named_joints)
    arrays = {"keypoints": joints}
    if scores := next((content[key] for key in SCORES if isinstance(content.get(key), list)), None):
        arrays["scores"] = _nested(_as_joints(scores), None).joints[..., 0]
    label = content.get("label")
    yield one_of(arrays, source, label=label if isinstance(label, int | str) else None, **fields)


def _nested(content: Any, skeleton: Skeleton | None) -> _Nested:
    """Lists and mappings as an array; who or what is not there, or null, is NaN.

    Raises:
        ValueError: they have another form, or the order of joints cannot be told.
    """
    content = _by_frame(content)
    with suppress(TypeError, ValueError, OverflowError, RecursionError):
        return _Nested(np.asarray(content, np.float64), {})
    try:  # persons come and go, something is null or a mapping
        return _of_parts(content, skeleton)
    except (TypeError, OverflowError, RecursionError, AttributeError) as error:
        raise ValueError(_NO_LISTS) from error


def _of_parts(content: Any, skeleton: Skeleton | None) -> _Nested:
    names, listed = _items(content)
    depth = max(map(depth_of, listed), default=0)
    frames, fields = frame_places(names), dict[str, Any]()
    if isinstance(content, dict):
        fields |= {"frames": frames.numbers, "notes": frames.notes}
    bodies: dict[tuple[int, Hashable], list[Any]] = {}
    for name, frame in zip(names, listed, strict=True):
        people = _items(frame or []) if depth > 2 else ([0], [frame])
        bodies |= {(frames.of[name], person): body for person, body in zip(*people, strict=True) if body}
    in_order, known = _in_order(list(bodies.values()), skeleton)
    if known:
        fields["skeleton"] = known
    parts, channels = _arrays(in_order)
    persons = person_places(person for _, person in bodies)
    joints = missing((len(frames.numbers), len(persons.of), *parts[0].shape))
    identity = np.full(joints.shape[:2], -1)
    for (t, person), part in zip(bodies, parts, strict=True):
        place = persons.of[person]
        joints[t, place], identity[t, place] = part, persons.numbers[place]
    if any(isinstance(person, str) for person in persons.of):
        fields["identity"] = identity
    if channels:
        fields["channels"] = named_channels(channels, joints)
    return _Nested(joints if depth > 1 else joints[:, 0], fields)


def _are_frames(content: dict[str, Any]) -> bool:
    """Whether the keys of a mapping are the numbers or the names of frames."""
    return bool(content) and all(map(_FRAME.search, content)) and all(map(depth_of, filter(None, content.values())))


def _by_frame(content: Any) -> Any:
    """Frames of persons, where the content is a mapping of persons to their frames."""
    if not isinstance(content, dict) or not all(
        is_numbered_person(name) and depth_of(content[name]) > 2 for name in content
    ):
        return content
    frames: dict[str, dict[str, Any]] = {}
    for person, listed in content.items():
        for number, body in zip(*_items(listed), strict=True):
            frames.setdefault(str(number), {})[person] = body
    return frames


def _items(content: Any) -> tuple[Sequence[Hashable], Sequence[Any]]:
    """The names of what a mapping holds, or the places in a list, and this."""
    return (list(content), list(content.values())) if isinstance(content, dict) else (range(len(content)), content)


def _as_joints(scores: Any) -> Any:
    """Scores in lists as joints of one channel."""
    return [_as_joints(item) for item in scores] if isinstance(scores, list) else [scores]


def _in_order(bodies: list[Any], skeleton: Skeleton | None) -> tuple[list[list[Any]], Skeleton | None]:
    """The joints of bodies, lists or mappings, in the order of mappings, and the skeleton that these name.

    Raises:
        ValueError: as `ordered`, of the joints of all bodies, or only a skeleton tells the order.
    """
    bodies = [joints_by_name(body) for body in bodies]
    names = list(dict.fromkeys(name for body in bodies if isinstance(body, dict) for name in body))
    if not names:
        return bodies, None
    order, known = ordered(names, skeleton)
    if known is None and not all(map(str.isdecimal, names)):
        raise ValueError("its joints have names; give a skeleton, which says their order")
    return [[body.get(name) for name in order] if isinstance(body, dict) else body for body in bodies], known


def _arrays(bodies: list[list[Any]]) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Bodies as arrays (V, C), or rows as arrays (M*V*C,), all of one shape, and the channels' names, if any."""
    keys = [channel_keys(joint) for body in bodies for joint in body if isinstance(joint, dict)]
    names = tuple(name for name in CHANNELS if any(name in known for known in keys))
    bodies = [[_numbers(joint, names) for joint in body] for body in bodies]
    C = max((len(joint) for body in bodies for joint in body if isinstance(joint, list)), default=0)
    nothing = [np.nan] * C if C else np.nan
    try:
        filled = ([nothing if joint in (None, []) else joint for joint in body] for body in bodies)
        arrays = [np.array(body, np.float64) for body in filled]
    except ValueError as error:
        raise ValueError(_NO_LISTS) from error
    if len({array.shape for array in arrays}) != 1:
        raise ValueError(_NO_LISTS)
    return arrays, names


def _numbers(joint: Any, names: tuple[str, ...]) -> Any:
    """A joint with its channels in the order of these names."""
    if not isinstance(joint, dict):
        return joint
    keys = channel_keys(joint)
    return [joint[keys[name]] if name in keys else None for name in names]


def depth_of(value: Any) -> int:
    """How deep lists and mappings are nested, along their first elements that are neither empty nor null."""
    depth = 0
    while isinstance(value, list | dict) and value:
        if isinstance(value, dict) and channel_keys(value):
            return depth + 1
        items = value.values() if isinstance(value, dict) else value
        depth, value = depth + 1, next((item for item in items if item not in ([], {}, None)), None)
    return depth
