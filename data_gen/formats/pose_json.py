"""What pose estimators write: persons by frame, in JSON files, in a folder with a file a frame, or in text.

    format      written by                             form
    openpose    OpenPose --write_json, a folder        a file a frame: {people: [{person_id, pose_keypoints_2d}]}
    alphapose   AlphaPose, and COCO results (YOLO,     [{image_id, keypoints: [x, y, score, ...], idx or track_id}];
                mmpose)                                with --format open or cmu {image: {people or bodies: [...]}}
    mmpose      MMPose, RTMPose                        {instance_info: [{frame_id, instances: [{keypoints,
                                                       keypoint_scores}]}]}, or that list alone
    mmskeleton  mmskeleton                             {info, annotations: [{frame_index, person_id, keypoints}]}
    yolo        YOLO-pose: Results.to_json a frame     [[{box, keypoints: {x, y, visible}, track_id}], ...]
    mediapipe   MediaPipe's landmarks                  [[{x, y, z, visibility}, ...], ...], with or without a mapping
                                                       {frame, landmarks} around each frame

A person is found by the names that these programs use, whatever else is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data_gen.formats.files import Source, natural_key, read_json
from data_gen.formats.people import Person, recording_of_people
from data_gen.formats.recording import Recording
from graph.tools import Skeleton

_FRAMES = ("instance_info", "annotations", "frames", "data", "predictions", "poses", "results")
_PEOPLE = ("people", "bodies", "instances", "persons", "skeleton", "predictions", "detections", "poses")
_POINTS = ("pose_keypoints_2d", "pose_keypoints_3d", "pose_keypoints", "keypoints", "joints", "pose_world_landmarks",
           "pose_landmarks", "landmarks", "landmark", "world_landmarks", "poseWorldLandmarks", "poseLandmarks",
           "pose")  # fmt: skip
_SCORES = ("keypoint_scores", "scores", "score", "visible", "confidence", "visibility", "keypoints_visible")
_IDENTITY = ("track_id", "person_id", "idx", "trackid")
_NUMBER = ("frame_id", "frame_index", "frame_idx", "frame", "frame_number", "image_id", "frame_num")
_FRAME = re.compile(rb'\s*\{(\s*"\w+"\s*:\s*("[^"]*"|[\w.-]+)\s*,)*\s*"people"')  # behind numbers or text
_MAX_FRAME_MB = 4  # of a folder's file; 100 persons with face and hands have 0.5


def is_openpose(source: Source) -> bool:
    """Whether a file is a frame, or one of the first files of a folder."""
    return _is_frame(source.json) if source.is_json else any(map(_has_people, source.members[:10]))


def is_mmskeleton(source: Source) -> bool:
    return source.is_json and isinstance(source.json, dict) and {"info", "annotations"} <= source.json.keys()


def is_mmpose(source: Source) -> bool:
    return bool({"instances", "keypoint_scores"} & _first_entry(source).keys())


def is_alphapose(source: Source) -> bool:
    entry = _first_entry(source)
    return isinstance(entry.get("keypoints"), list) or bool({"people", "bodies", "image_id"} & entry.keys())


def is_yolo(source: Source) -> bool:
    return isinstance(_first_entry(source).get("keypoints"), dict)


def is_mediapipe(source: Source) -> bool:
    names = rb'"(visibility|landmarks?|pose_?(world_?)?landmarks)"'
    return source.is_json and bool(re.search(names, source.head, re.IGNORECASE))


def _first_entry(source: Source) -> dict[str, Any]:
    """The first frame, or person, of a JSON file that is a mapping with anything in it."""
    listed = _listed(source.json) if source.is_json else []
    entry = next((entry for entry in (listed.values() if isinstance(listed, dict) else listed) if entry), None)
    while isinstance(entry, list) and entry:
        entry = entry[0]
    return entry if isinstance(entry, dict) else {}


def _is_frame(content: Any) -> bool:
    """Whether this is the content of a file of OpenPose."""
    return isinstance(content, dict) and "people" in content


def _has_people(path: Path) -> bool:
    """Whether a file is OpenPose's, as far as its first bytes tell."""
    if path.suffix.lower() != ".json":
        return False
    with path.open("rb") as file:
        return bool(_FRAME.match(file.read(4096)))


def read_poses(source: Source) -> Iterator[Recording]:
    """The recording of a JSON file; errors as `Recording.of`, or another form."""
    content = source.json
    fields, picture = _facts(content)
    listed = [content] if _is_frame(content) else _listed(content)
    yield recording_of_people(source, _frames(listed), picture=picture, **fields)


def read_openpose_folder(source: Source) -> Iterator[Recording]:
    """The recording of a folder in which each file is a frame; of one file, as `read_poses`."""
    if source.head or not source.members:
        yield from read_poses(source)
        return
    frames: list[tuple[Any, list[Person]]] = []
    for path in source.members:
        try:
            if path.suffix.lower() == ".json" and _is_frame(content := read_json(path, _MAX_FRAME_MB)):
                frames.append((path.stem.removesuffix("_keypoints"), _people(content)))
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from error
    yield recording_of_people(source, frames)


def _facts(content: Any) -> tuple[dict[str, Any], tuple[int, int] | None]:
    """Label and frame rate, and the picture's width and height, where a file tells them."""
    if not isinstance(content, dict):
        return {}, None
    facts = content | (content["info"] if isinstance(content.get("info"), dict) else {})
    label = next((facts[key] for key in ("label", "category_id", "label_index") if key in facts), None)
    rate = next((facts[key] for key in ("fps", "frame_rate", "frameRate") if key in facts), None)
    fields: dict[str, Any] = {}
    names = facts["meta_info"].get("keypoint_id2name") if isinstance(facts.get("meta_info"), dict) else None
    if isinstance(names, dict) and names and all(isinstance(name, str) for name in names.values()):
        joints = tuple(names[key] for key in sorted(names, key=natural_key))
        fields["skeleton"] = Skeleton("the file", joints, (0,) * len(joints))
    if isinstance(label, int | str) and label != -1:
        fields["label"] = label
    if isinstance(rate, int | float) and 0 < rate < 10_000:
        fields["frame_rate"] = float(rate)
    size = facts.get("resolution") or [facts.get("width"), facts.get("height")]
    if isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size):
        return fields, (size[0], size[1])
    return fields, None


def _listed(content: Any) -> list[Any] | dict[str, Any]:
    """The frames, or the persons, of a file; a mapping has them by the frame's name."""
    if isinstance(content, dict):
        return next((content[key] for key in _FRAMES if isinstance(content.get(key), list | dict)), content)
    return content if isinstance(content, list) else []


def _frames(listed: list[Any] | dict[str, Any]) -> list[tuple[Any, list[Person]]]:
    """The number, or the name, and the persons of each frame."""
    if isinstance(listed, dict):
        return [(name, _people(listed[name])) for name in sorted(listed, key=natural_key)]
    frames: list[tuple[Any, list[Person]]] = []
    for place, entry in enumerate(listed):
        number: Any = place
        if isinstance(entry, dict):
            alone = 0 if "box" in entry or "bbox" in entry else place  # all persons of a picture
            number = next((entry[key] for key in _NUMBER if isinstance(entry.get(key), int | str)), alone)
        frames.append((number, _people(entry)))
    return frames


def _people(entry: Any) -> list[Person]:
    """The persons of an entry: a frame of persons, a person, or the joints of one."""
    if isinstance(entry, dict):
        people = next((entry[key] for key in _PEOPLE if isinstance(entry.get(key), list)), None)
        if people is not None:
            return [person for item in people for person in _people(item)]
        key = next((key for key in _POINTS if entry.get(key)), None)
        if key is None:
            return []
        points, has_depth = entry[key], "landmark" in key.lower()
        if _level(points) == 2:  # several persons' landmarks, as MediaPipe's tasks give them
            return [person for item in points for person in _person(item, {}, has_depth=has_depth)]
        return _person(points, entry, has_depth=has_depth)
    if not isinstance(entry, list) or not entry:
        return []
    if all(isinstance(item, dict) and "x" in item for item in entry):
        return _person(entry, {})
    return [person for item in entry for person in _people(item)]


def _level(points: Any) -> int:
    """1: a list of joints; 2: a list of persons' joints, which are mappings or, of several persons, lists."""
    first = points[0] if isinstance(points, list) and points else None
    if not isinstance(first, list) or not first:
        return 1
    return 2 if isinstance(first[0], dict) or (isinstance(first[0], list) and len(points) > 1) else 1


def _person(points: Any, entry: dict[str, Any], *, has_depth: bool = False) -> list[Person]:
    """The person of a list of joints, in any of the forms that are in use; three numbers of each may have a depth."""
    scores = next((entry[key] for key in _SCORES if isinstance(entry.get(key), list)), None)
    names: tuple[str, ...]
    try:
        if isinstance(points, dict) and "x" in points:
            scores = points.get("visible", scores)
            points = list(zip(*(points[name] for name in "xyz" if name in points), strict=True))
        if points and isinstance(points[0], dict):
            axes = [name for name in "xyz" if name in points[0]]
            key = next((key for key in ("visibility", "score", "confidence") if key in points[0]), None)
            joints = np.array([[point[name] for name in [*axes, *([key] if key else [])]] for point in points], float)
            names = (*axes, "score") if key else tuple(axes)
        else:
            joints = np.array(points, np.float64)
            if joints.ndim == 1:
                width = 4 if entry.get("pose_keypoints_3d") and not entry.get("pose_keypoints_2d") else 3
                joints = joints.reshape(-1, 2 if scores is not None and len(scores) * 2 == len(joints) else width)
            elif joints.ndim == 3 and len(joints) == 1:
                joints = joints[0]
            names = ("x", "y", "z")[: joints.shape[1]]
            if scores is None and joints.shape[1] in (3, 4):
                names = ("x", "y", "score") if joints.shape[1] == 3 and not has_depth else ("x", "y", "z", "score")
                names = names[: joints.shape[1]]
        if scores is not None and "score" not in names:
            joints, names = np.column_stack([joints, np.array(scores, np.float64).reshape(-1)]), (*names, "score")
    except (TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise ValueError("a person's joints are not numbers x, y (z) and score of each") from error
    if joints.ndim != 2 or joints.shape[1] != len(names) or len(names) < 2:
        raise ValueError("a person's joints are not numbers x, y (z) and score of each")
    return [Person(joints, names, _identity(entry))]


def _identity(entry: dict[str, Any]) -> int:
    value: Any = next((entry[key] for key in _IDENTITY if entry.get(key) is not None), -1)
    value = value[0] if isinstance(value, list) and value else value
    whole = isinstance(value, int | float) and value == round(value) and 0 <= value < 1 << 62
    return int(value) if whole else -1
