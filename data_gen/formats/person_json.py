"""A person's joints in JSON, in any of the forms that pose estimators write; each frame may hold several persons.

Persons and joints are found by the names that these programs use. A person's joints are a list of joints (numbers, or a
mapping of channels), numbers one after the other, lists of all x and all y, or a mapping from their names.
Axis legend: V joints, C channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from data_gen.formats.headings import channel_keys, joints_by_name
from data_gen.formats.people import UNTOLD, Person
from graph import mediapipe
from graph.channels import Unit

PEOPLE = ("people", "bodies", "Bodies", "instances", "persons", "skeleton", "skeletons", "predictions", "detections",
          "poses")  # fmt: skip
JOINTS = ("keypoints", "keypoints_3d", "keypoints_2d", "pred_keypoints", "joints", "Joints", "joints_3d", "joints_2d",
          "joint_positions", "points")  # fmt: skip
POINTS = ("pose_keypoints_2d", "pose_keypoints_3d", "pose_keypoints", *JOINTS,
          "pose_world_landmarks", "world_landmarks", "poseWorldLandmarks", "worldLandmarks",
          "pose_landmarks", "landmarks", "landmark", "poseLandmarks", "pose")  # fmt: skip
_SCORES = ("keypoint_scores", "scores", "score", "visible", "confidence", "visibility", "keypoints_visible")
_IDENTITY = ("track_id", "person_id", "idx", "trackid", "body_id")
_WRONG = "a person's joints are not numbers x, y (z) and score of each"


def is_joint(item: Any) -> bool:
    return isinstance(item, dict) and bool(channel_keys(item))


def people_of(entry: Any, unit: Unit | None = None) -> list[Person]:
    """The persons of an entry: a frame of persons, a person, or the joints of one; `unit` is that of landmarks."""
    if isinstance(entry, dict):
        people = next((entry[key] for key in PEOPLE if isinstance(entry.get(key), list)), None)
        if people is not None:
            return [person for item in people for person in people_of(item)]
        key = next((key for key in POINTS if entry.get(key)), None)
        if key is None:
            joints = {name: item for name, item in entry.items() if is_joint(item)}
            return [_person(joints, {})] if len(joints) > 1 else []
        points, word = entry[key], key.lower()
        unit = unit or ("metres" if "world" in word else "normalised" if "landmark" in word else None)
        if isinstance(points, dict) and not points.keys().isdisjoint(POINTS):  # {landmark: [...]}
            return people_of(points, unit)
        if _level(points) == 2:  # several persons' joints, as MediaPipe's tasks and rtmlib give them
            scores = next((entry[key] for key in _SCORES if isinstance(entry.get(key), list)), [None] * len(points))
            if len(scores) != len(points):
                raise ValueError(_WRONG)
            return [_person(item, {"scores": s}, unit) for item, s in zip(points, scores, strict=True) if item]
        return [_person(points, entry, unit)]
    if not isinstance(entry, list) or not entry:
        return []
    if any(map(is_joint, entry)):
        return [_person(entry, {})]
    return [person for item in entry for person in people_of(item)]


def _level(points: Any) -> int:
    """1: a list of joints; 2: a list of persons' joints, which are mappings or, of several persons, lists."""
    if not isinstance(points, list) or not all(isinstance(item, list) for item in points):
        return 1
    first: list[Any] = next(filter(None, points), [{}])
    return 2 if isinstance(first[0], dict) or (isinstance(first[0], list) and len(points) > 1) else 1


def _person(points: Any, entry: dict[str, Any], unit: Unit | None = None) -> Person:
    """The person of joints; three numbers of a landmark have a depth."""
    scores = next((entry[key] for key in _SCORES if isinstance(entry.get(key), list)), None)
    names, joint_names = tuple[str, ...](), tuple[str, ...]()
    points = joints_by_name(points)
    try:
        if isinstance(points, dict) and "x" in points:
            scores = points.get("visible", scores)
            points = list(zip(*(points[name] for name in "xyz" if name in points), strict=True))
        elif isinstance(points, dict):
            joint_names = tuple(sorted(points))
            points = [points[name] for name in joint_names]
        first: Any = next(filter(None, points), None)
        if isinstance(first, dict):
            keys = channel_keys(first)
            names = tuple(keys)
            points = [point and [point[key] for key in keys.values()] for point in points]
        if isinstance(first, dict | list | tuple):
            points = [point or [np.nan] * len(names or first) for point in points]
        joints = np.array(points, np.float64)
        if joints.ndim == 1:
            joints = joints.reshape(-1, _width(len(joints), entry, scores, unit))
        elif joints.ndim == 3 and len(joints) == 1:
            joints = joints[0]
        C = joints.shape[1]
        if not names and scores is None and C == 3 and unit is None:
            names = ("x", "y", "score" if entry.get("pose_keypoints_2d") else UNTOLD)
        elif not names:
            names = ("x", "y", "z", "score") if scores is None and C == 4 else ("x", "y", "z")[:C]
        if scores is not None and "score" not in names:
            joints, names = np.column_stack([joints, np.array(scores, np.float64).reshape(-1)]), (*names, "score")
    except (TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise ValueError(_WRONG) from error
    if joints.ndim != 2 or joints.shape[1] != len(names) or len(names) < 2:
        raise ValueError(_WRONG)
    return Person(joints, names, _identity(entry), unit, joint_names)


def _width(count: int, entry: dict[str, Any], scores: list[Any] | None, unit: Unit | None) -> int:
    """How many of `count` numbers, one after the other, are a joint's."""
    V = mediapipe.SKELETON.num_point
    if count == 4 * V or (unit and count % V == 0):
        return count // V
    if scores is not None and len(scores) * 2 == count:
        return 2
    return 4 if entry.get("pose_keypoints_3d") and not entry.get("pose_keypoints_2d") else 3


def _identity(entry: dict[str, Any]) -> int:
    value: Any = next((entry[key] for key in _IDENTITY if entry.get(key) is not None), -1)
    value = value[0] if isinstance(value, list) and value else value
    is_whole = isinstance(value, int | float) and value == round(value) and 0 <= value < 1 << 62
    return int(value) if is_whole else -1
