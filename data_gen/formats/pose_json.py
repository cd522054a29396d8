"""What pose estimators write: persons by frame, in JSON files, in a folder with a file a frame, or in text.

    format      written by                             form
    openpose    OpenPose --write_json, a folder        a file a frame: {people: [{person_id, pose_keypoints_2d}]}
    alphapose   AlphaPose, and COCO results (YOLO,     [{image_id, keypoints: [x, y, score, ...], idx or track_id}];
                mmpose)                                with --format open or cmu {image: {people or bodies: [...]}}
    mmpose      MMPose, RTMPose                        {instance_info: [{frame_id, instances: [{keypoints,
                                                       keypoint_scores}]}]}, or that list alone; of pictures, a folder
                                                       with a file a picture: [{keypoints, keypoint_scores, bbox}]
    mmskeleton  mmskeleton                             {info, annotations: [{frame_index, person_id, keypoints}]}
    yolo        YOLO-pose: Results.to_json a frame     [[{box, keypoints: {x, y, visible}, track_id}], ...], or a list
                                                       of such texts
    mediapipe   MediaPipe's landmarks                  [[{x, y, z, visibility}, ...], ...], with or without a mapping
                                                       {frame, landmarks} around each frame

A person is found by the names that these programs use, whatever else is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from data_gen.formats.files import Source, natural_key, read_json
from data_gen.formats.headings import channel_keys
from data_gen.formats.nested import depth_of
from data_gen.formats.people import UNTOLD, Person, recording_of_people
from data_gen.formats.recording import Recording
from graph.channels import Unit
from graph.tools import Skeleton

_FRAMES = ("instance_info", "annotations", "frames", "data", "predictions", "poses", "results")
_PEOPLE = ("people", "bodies", "instances", "persons", "skeleton", "predictions", "detections", "poses")
_POINTS = ("pose_keypoints_2d", "pose_keypoints_3d", "pose_keypoints", "keypoints", "joints",
           "pose_world_landmarks", "world_landmarks", "poseWorldLandmarks", "worldLandmarks",
           "pose_landmarks", "landmarks", "landmark", "poseLandmarks", "pose")  # fmt: skip
_SCORES = ("keypoint_scores", "scores", "score", "visible", "confidence", "visibility", "keypoints_visible")
_IDENTITY = ("track_id", "person_id", "idx", "trackid")
_NUMBER = ("frame_id", "frame_index", "frame_idx", "frame", "frame_number", "image_id", "frame_num")
_PICTURE = re.compile(rb'\s*\[\s*\{\s*"(keypoints|keypoint_scores|bbox|bbox_score)"')
_FRAME = re.compile(rb'\s*\{(\s*"\w+"\s*:\s*("[^"]*"|[\w.-]+)\s*,)*\s*"people"')  # behind numbers or text
_FRAME_NAME = re.compile(r"^\d+$|frame|image|\.", re.IGNORECASE)  # of a mapping with one frame
_MAX_FRAME_MB = 4  # of a folder's file; 100 persons with face and hands have 0.5


def is_openpose(source: Source) -> bool:
    """Whether a file is a frame, or one of the first files of a folder."""
    if source.is_json:
        return _is_frame(source.json)
    return any(_FRAME.match(_head(path)) for path in source.members[:10] if _is_named_json(path))


def is_mmskeleton(source: Source) -> bool:
    return source.is_json and isinstance(source.json, dict) and {"info", "annotations"} <= source.json.keys()


def is_mmpose(source: Source) -> bool:
    """Whether a file, or one of the first files of a folder that are not empty, is of MMPose."""
    members = [path for path in source.members if _is_named_json(path) and path.stat().st_size > len("[]\n")]
    with suppress(ValueError):
        if any(_PICTURE.match(_head(path)) and _is_picture(read_json(path, _MAX_FRAME_MB)) for path in members[:10]):
            return True
    return bool({"instances", "keypoint_scores"} & _first_entry(source).keys())


def is_alphapose(source: Source) -> bool:
    entry = _first_entry(source)
    return isinstance(entry.get("keypoints"), list) or bool({"people", "bodies", "image_id"} & entry.keys())


def is_yolo(source: Source) -> bool:
    return isinstance(_first_entry(source).get("keypoints"), dict)


def is_mediapipe(source: Source) -> bool:
    names = rb'"(visibility|(pose_?)?(world_?)?landmarks?)"'
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


def _is_picture(content: Any) -> bool:
    """Whether this is the content of MMPose's file of a picture: persons with boxes, without a frame's number."""
    return isinstance(content, list) and all(
        isinstance(person, dict) and {"keypoints", "bbox"} <= person.keys() and not person.keys() & set(_NUMBER)
        for person in content
    )


def _is_named_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def read_poses(source: Source) -> Iterator[Recording]:
    """The recording of a JSON file, or of a folder with a file a frame; errors as `Recording.of`, or another form."""
    if source.members:
        yield recording_of_people(source, _frames_in(source))
        return
    content = source.json
    fields, picture = _facts(content)
    listed = [content] if _is_frame(content) else _unfolded(_listed(content))
    yield recording_of_people(source, _frames(listed), picture=picture, **fields)


def _frames_in(source: Source) -> Iterator[tuple[str, list[Person]]]:
    """The name and the persons of each frame in a folder; other files are left out."""
    for path in filter(_is_named_json, source.members):
        try:
            content = read_json(path, _MAX_FRAME_MB)
            if _is_frame(content) or _is_picture(content):
                yield path.stem.removesuffix("_keypoints"), _people(content)
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from error


def _facts(content: Any) -> tuple[dict[str, Any], tuple[int, int] | None]:
    """Label and frame rate, and the picture's width and height, where a file tells them."""
    if not isinstance(content, dict):
        return {}, None
    facts = content | (content["info"] if isinstance(content.get("info"), dict) else {})
    labels = (facts.get(key) for key in ("label", "category_id", "label_index"))
    label = next((label for label in labels if isinstance(label, int | str) and label not in ("", -1)), None)
    rate = next((facts[key] for key in ("fps", "frame_rate", "frameRate") if key in facts), None)
    fields: dict[str, Any] = {}
    names = facts["meta_info"].get("keypoint_id2name") if isinstance(facts.get("meta_info"), dict) else None
    if isinstance(names, dict) and names and all(isinstance(name, str) for name in names.values()):
        joints = tuple(names[key] for key in sorted(names, key=natural_key))
        fields["skeleton"] = Skeleton("the file", joints, (0,) * len(joints))
    if isinstance(channels := facts.get("keypoint_channels"), list) and len(channels) == 3:
        fields["third"] = "z" if channels[2] == "z" else "score"
    if label is not None:
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


def _unfolded(listed: list[Any] | dict[str, Any]) -> list[Any] | dict[str, Any]:
    """The frames of a mapping that has all of them under one key, which they keep if it is that of joints."""
    if isinstance(listed, list):
        return [{"joints": listed}] if any(map(_is_joint, listed)) else listed
    deep = [key for key, value in listed.items() if depth_of(value) > 1]
    key = next((key for key in _POINTS if key in deep), None)
    if key is None:
        if len(deep) != 1 or _FRAME_NAME.search(deep[0]):
            return listed
        frames = listed[deep[0]]
        if deep[0] in _PEOPLE and any(isinstance(item, dict) and not _is_joint(item) for item in frames):
            return [listed]
        return _unfolded(frames) if isinstance(frames, list) or all(map(str.isdecimal, frames)) else listed
    if depth_of(frames := listed[key]) < 3:
        return [listed]
    if isinstance(frames, dict):
        return {name: {key: frame} for name, frame in frames.items()}
    return [{key: frame} for frame in frames]


def _is_joint(item: Any) -> bool:
    return isinstance(item, dict) and bool(channel_keys(item))


def _frames(listed: list[Any] | dict[str, Any]) -> list[tuple[Any, list[Person]]]:
    """The number, or the name, and the persons of each frame."""
    if isinstance(listed, dict):
        names = [name for name, entry in listed.items() if entry is None or isinstance(entry, list | dict)]
        return [(name, _people(listed[name])) for name in sorted(names, key=natural_key)]
    frames: list[tuple[Any, list[Person]]] = []
    for place, entry in enumerate(listed):
        number: Any = place
        if isinstance(entry, dict):
            alone = 0 if "box" in entry or "bbox" in entry else place  # all persons of a picture
            number = next((entry[key] for key in _NUMBER if isinstance(entry.get(key), int | float | str)), alone)
            number = int(number) if isinstance(number, float) and number.is_integer() else number
        frames.append((number, _people(entry)))
    return frames


def _people(entry: Any, unit: Unit | None = None) -> list[Person]:
    """The persons of an entry: a frame of persons, a person, or the joints of one; `unit` is that of landmarks."""
    if isinstance(entry, dict):
        people = next((entry[key] for key in _PEOPLE if isinstance(entry.get(key), list)), None)
        if people is not None:
            return [person for item in people for person in _people(item)]
        key = next((key for key in _POINTS if entry.get(key)), None)
        if key is None:
            return []
        points, word = entry[key], key.lower()
        unit = unit or ("metres" if "world" in word else "normalised" if "landmark" in word else None)
        if isinstance(points, dict) and not points.keys().isdisjoint(_POINTS):  # {landmark: [...]}
            return _people(points, unit)
        if _level(points) == 2:  # several persons' landmarks, as MediaPipe's tasks give them
            return [_person(item, {}, unit) for item in points]
        return [_person(points, entry, unit)]
    if not isinstance(entry, list) or not entry:
        return []
    if any(map(_is_joint, entry)):
        return [_person(entry, {})]
    return [person for item in entry for person in _people(item)]


def _level(points: Any) -> int:
    """1: a list of joints; 2: a list of persons' joints, which are mappings or, of several persons, lists."""
    first = points[0] if isinstance(points, list) and points else None
    if not isinstance(first, list) or not first:
        return 1
    return 2 if isinstance(first[0], dict) or (isinstance(first[0], list) and len(points) > 1) else 1


def _person(points: Any, entry: dict[str, Any], unit: Unit | None = None) -> Person:
    """The person of a list of joints, in any of the forms that are in use; three numbers of a landmark have a depth."""
    scores = next((entry[key] for key in _SCORES if isinstance(entry.get(key), list)), None)
    try:
        if isinstance(points, dict) and "x" in points:
            scores = points.get("visible", scores)
            points = list(zip(*(points[name] for name in "xyz" if name in points), strict=True))
        first, names = next(filter(None, points), None), tuple[str, ...]()
        if isinstance(first, dict):
            keys = channel_keys(first)
            names = tuple(keys)
            points = [point and [point[key] for key in keys.values()] for point in points]
        if isinstance(first, dict | list | tuple):
            points = [point or [np.nan] * len(names or first) for point in points]
        joints = np.array(points, np.float64)
        if joints.ndim == 1:
            width = 4 if entry.get("pose_keypoints_3d") and not entry.get("pose_keypoints_2d") else 3
            joints = joints.reshape(-1, 2 if scores is not None and len(scores) * 2 == len(joints) else width)
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
        raise ValueError("a person's joints are not numbers x, y (z) and score of each") from error
    if joints.ndim != 2 or joints.shape[1] != len(names) or len(names) < 2:
        raise ValueError("a person's joints are not numbers x, y (z) and score of each")
    return Person(joints, names, _identity(entry), unit)


def _identity(entry: dict[str, Any]) -> int:
    value: Any = next((entry[key] for key in _IDENTITY if entry.get(key) is not None), -1)
    value = value[0] if isinstance(value, list) and value else value
    whole = isinstance(value, int | float) and value == round(value) and 0 <= value < 1 << 62
    return int(value) if whole else -1
