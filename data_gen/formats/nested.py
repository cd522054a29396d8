"""Nested lists of numbers in JSON.

Axis legend: T frames, M persons, V joints, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from data_gen.formats.arrays import JOINTS, SCORES, one_of, recording_of
from data_gen.formats.files import Source, missing
from data_gen.formats.headings import ordered
from data_gen.formats.recording import Recording
from graph.tools import Skeleton

_NO_LISTS = "not nested lists of numbers [T][V][C], [T][M][V][C] or [T][M*V*C], of equal lengths"


def read_nested(source: Source) -> Iterator[Recording]:
    """Nested lists [T][V][C], [T][M][V][C] or [T][M*V*C], alone or under a key.

    Persons may come and go, a frame may be empty. A mapping may stand for a list: of frames or persons by their
    numbers, of joints by the skeleton's names, of coordinates by x, y and z. The scores of joints may be under another
    key.
    """
    content: Any = source.json
    if not isinstance(content, dict) or all(map(str.isdecimal, content)):
        yield recording_of(source.name, _nested(content, source), source)
        return
    named = [content[key] for key in JOINTS if isinstance(content.get(key), list | dict)]
    deep = [value for key, value in content.items() if key not in SCORES and _depth(value) >= 2]
    lists = named[:1] or [value for value in deep if _depth(value) >= 3] or deep
    if len(lists) != 1:
        raise ValueError(_NO_LISTS)
    arrays = {"keypoints": _nested(lists[0], source)}
    if scores := next((content[key] for key in SCORES if isinstance(content.get(key), list)), None):
        arrays["scores"] = np.array(scores, np.float64)
    label = content.get("label")
    yield one_of(arrays, source, label=label if isinstance(label, int | str) else None)


def _nested(content: Any, source: Source) -> np.ndarray:
    """Lists as an array (T, V, C), (T, M, V, C) or (T, M*V*C); who or what is not there, or null, is NaN."""
    try:
        return np.asarray(content, np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError):
        pass  # persons come and go, something is null or a mapping
    content = _as_lists(content, source.skeleton)
    try:
        frames = [frame or [] for frame in content]
        depth = max(map(_depth, frames), default=0)
        if depth == 1:
            width = max(map(len, frames))
            return np.array([frame or [np.nan] * width for frame in frames], np.float64)
        people = [[frame] if depth == 2 else [person or [] for person in frame] for frame in frames]
        bodies = [joints for frame in people for joints in frame if joints]
        V, C = len(bodies[0]), max(len(joint) for joint in bodies[0] if joint)
        joints = missing((len(people), max(map(len, people)), V, C))
        for place, frame in zip(joints, people, strict=True):
            for m, person in enumerate(frame):
                body = np.array([joint or [np.nan] * C for joint in person], np.float64)
                if person and body.shape != (V, C):
                    raise ValueError(f"a person has joints of shape {body.shape}, another of {(V, C)}")
                place[m] = body if person else np.nan
    except (TypeError, ValueError, OverflowError, RecursionError, IndexError, AttributeError) as error:
        raise ValueError(_NO_LISTS) from error
    return joints


def _as_lists(value: Any, skeleton: Skeleton | None) -> Any:
    """`value` with lists in the place of mappings; errors as `ordered`."""
    if isinstance(value, list):
        return [_as_lists(item, skeleton) for item in value]
    if not isinstance(value, dict):
        return value
    if {"x", "y"} <= value.keys():
        return [value[name] for name in ("x", "y", "z", "score", "confidence", "visibility") if name in value]
    is_numbered = all(map(str.isdecimal, value))
    if not is_numbered and skeleton is None:
        raise ValueError("its joints have names; give a skeleton, which says their order")
    keys = sorted(value, key=int) if is_numbered else ordered(value, skeleton)
    return [_as_lists(value[key], skeleton) for key in keys]


def _depth(value: Any) -> int:
    """How deep lists and mappings are nested, along their first elements that are neither empty nor null."""
    depth = 0
    while isinstance(value, list | dict) and value:
        if isinstance(value, dict) and {"x", "y"} <= value.keys():
            return depth + 1
        items = value.values() if isinstance(value, dict) else value
        depth, value = depth + 1, next((item for item in items if item not in ([], {}, None)), None)
    return depth
