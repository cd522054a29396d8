"""What pose estimators write: persons by frame, in JSON files, in a folder with a file a frame, or in text.

    format      written by                             form
    openpose    OpenPose --write_json, a folder        a file a frame: {people: [{person_id, pose_keypoints_2d}]}
    alphapose   AlphaPose, and COCO results (YOLO,     [{image_id, keypoints: [x, y, score, ...], idx or track_id}];
                mmpose)                                with --format open or cmu {image: {people or bodies: [...]}}
    mmpose      MMPose, RTMPose                        {instance_info: [{frame_id, instances: [{keypoints,
                                                       keypoint_scores}]}]}, or that list alone
    mmskeleton  mmskeleton                             {info, annotations: [{frame_index, person_id, keypoints}]}
    yolo        YOLO-pose: Results.to_json a frame     [[{box, keypoints: {x, y, visible}, track_id}], ...]
    yolo-txt    YOLO-pose: save_txt, a folder          a file a frame: class, box, x y score a joint, track; fractions
    mediapipe   MediaPipe's landmarks                  [[{x, y, z, visibility}, ...], ...], with or without a mapping
                                                       {frame, landmarks} around each frame

A person is found by the names that these programs use, whatever else is there. A joint at (0, 0) of a picture, and one
in 3-D with score 0 at the origin, is missing. Frames are those that the file numbers; a number left out is a
frame without anybody. Persons are in the file's order; `Recording.identity` holds the tracker's numbers, -1 where there
are none, or where a program without a tracker gives one number to several persons of a frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_gen.formats.files import Source, check_size, is_number, missing, natural_key, read_json
from data_gen.formats.nested import guess_channels
from data_gen.formats.recording import Recording
from graph import coco, kinetics, mediapipe, openpose
from graph.channels import Channels, Unit
from graph.tools import Skeleton

_FRAMES = ("instance_info", "annotations", "frames", "data", "predictions", "poses", "results")
_PEOPLE = ("people", "bodies", "instances", "persons", "skeleton", "predictions", "detections", "poses")
_POINTS = ("pose_keypoints_2d", "pose_keypoints_3d", "pose_keypoints", "keypoints", "joints", "pose_world_landmarks",
           "pose_landmarks", "landmarks", "landmark", "world_landmarks", "poseWorldLandmarks", "poseLandmarks",
           "pose")  # fmt: skip
_SCORES = ("keypoint_scores", "scores", "score", "visible", "confidence", "visibility", "keypoints_visible")
_IDENTITY = ("track_id", "person_id", "idx", "trackid")
_NUMBER = ("frame_id", "frame_index", "frame_idx", "frame", "frame_number", "image_id", "frame_num")
_SKELETONS = {module.SKELETON.num_point: module.SKELETON for module in (coco, kinetics, openpose, mediapipe)}
_FRAME = re.compile(rb'\s*\{(\s*"\w+"\s*:\s*("[^"]*"|[\w.-]+)\s*,)*\s*"people"')  # behind numbers or text
_MAX_FRAME_MB = 4  # of a folder's file; 100 persons with face and hands have 0.5


class Person(NamedTuple):
    """A person in a frame."""

    joints: np.ndarray  # (V, C)
    names: tuple[str, ...]  # of the channels
    identity: int  # -1: not told


def is_openpose(source: Source) -> bool:
    """Whether a file is a frame, or one of the first files of a folder."""
    return _is_frame(source.json) if source.is_json else any(map(_has_people, source.members[:10]))


def is_yolo_text(source: Source) -> bool:
    """Whether the first text of a folder that is not empty is lines of class, box and joints, as fractions."""
    path = next((path for path in source.members if path.suffix.lower() == ".txt" and path.stat().st_size), None)
    if path is None:
        return False
    with path.open("rb") as file:
        words = file.readline(1 << 16).split()
    if len(words) < 5 + 2 * 5 or not words[0].isdigit() or not all(map(is_number, words)):
        return False
    return all(-0.5 <= float(word) <= 1.5 for word in words[1:-1])  # the last may be the tracker's number


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
    yield _recording(source, _frames(listed), picture=picture, **fields)


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
    yield _recording(source, frames)


def read_yolo_folder(source: Source) -> Iterator[Recording]:
    """The recording of a folder of text: a file a frame, a line a person; frames without persons have no file."""
    frames: list[tuple[Any, list[Person]]] = []
    for path in source.members:
        if path.suffix.lower() == ".txt":
            check_size(path, _MAX_FRAME_MB)
            frames.append((path.stem, [_yolo_person(line, path, source) for line in path.read_bytes().splitlines()]))
    yield _recording(source, frames, unit="normalised")


def _yolo_person(line: bytes, path: Path, source: Source) -> Person:
    try:
        numbers = np.array(line.split(), np.float64)[5:]
    except ValueError as error:
        raise ValueError(f"{path.name}: a line is not class, box and joints as numbers") from error
    own = source.skeleton.num_point if source.skeleton else 17
    forms = [(V, C) for C in (3, 2) for V in (17, own)]
    V, C = next(((V, C) for V, C in forms if 0 <= len(numbers) - V * C <= 2), (own, 0))
    if not C:
        raise ValueError(f"{path.name}: {len(numbers)} numbers after class and box are not x y score of {V} joints")
    rest = numbers[V * C :]
    identity = int(rest[-1]) if len(rest) and rest[-1] == np.round(rest[-1]) and rest[-1] >= 1 else -1
    return Person(numbers[: V * C].reshape(V, C), ("x", "y", "score")[:C], identity)


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


def _recording(
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
