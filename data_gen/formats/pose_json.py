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

from data_gen.formats.files import Source, natural_key, read_json
from data_gen.formats.headings import skeleton_named
from data_gen.formats.nested import depth_of
from data_gen.formats.people import Person, recording_of_people
from data_gen.formats.person_json import JOINTS, PEOPLE, POINTS, is_joint, people_of
from data_gen.formats.recording import Recording
from graph import mediapipe

_FRAMES = ("instance_info", "annotations", "frames", "data", "predictions", "poses", "results")
_NUMBER = ("frame_id", "frame_index", "frame_idx", "frame", "frame_number", "image_id", "frame_num")
_PICTURE = re.compile(rb'\s*\[\s*\{\s*"(keypoints|keypoint_scores|bbox|bbox_score|name|class|box)"')
_FRAME_NAME = re.compile(r"^\d+$|frame|image|\.", re.IGNORECASE)  # of a mapping with one frame
_MAX_FRAME_MB = 4  # of a folder's file; 100 persons with face and hands have 0.5


def is_openpose(source: Source) -> bool:
    """Whether a file is a frame, or one of the first files of a folder."""
    if source.is_json:
        return _is_frame(source.json)
    named = [path for path in source.members if _is_named_json(path)]
    return any(b'"people"' in _head(path) and _is_frame(_content(path)) for path in named[:10])


def is_mmskeleton(source: Source) -> bool:
    return source.is_json and isinstance(source.json, dict) and {"info", "annotations"} <= source.json.keys()


def is_mmpose(source: Source) -> bool:
    """Whether a file, or one of the first files of a folder that are not empty, is of MMPose."""
    members = [path for path in source.members if _is_named_json(path) and path.stat().st_size > len("[]\n")]
    if any(_PICTURE.match(_head(path)) and _is_picture(_content(path)) for path in members[:10]):
        return True
    return bool({"instances", "keypoint_scores"} & _first_entry(source).keys())


def is_alphapose(source: Source) -> bool:
    if {"people", "bodies", "image_id"} & _first_entry(source).keys():
        return True
    person = _first_person(source)
    return any(isinstance(person.get(key), list | dict) for key in JOINTS) and not is_yolo(source)


def is_yolo(source: Source) -> bool:
    joints = _first_person(source).get("keypoints")
    return isinstance(joints, dict) and "x" in joints


def is_mediapipe(source: Source) -> bool:
    names = rb'"(visibility|(pose_?)?(world_?)?landmarks?)"'
    if not source.is_json or re.search(names, source.head, re.IGNORECASE):
        return source.is_json
    listed = _listed(source.json)
    body: Any = list(listed.values()) if isinstance(listed, dict) else listed
    while isinstance(body, list) and body and not is_joint(body[0]):
        body = next(filter(None, body), None)
    return isinstance(body, list) and len(body) == mediapipe.SKELETON.num_point


def _first_entry(source: Source) -> dict[str, Any]:
    """The first frame, or person, of a JSON file that is a mapping with anything in it."""
    listed = _listed(source.json) if source.is_json else []
    entry = next((entry for entry in (listed.values() if isinstance(listed, dict) else listed) if entry), None)
    while isinstance(entry, list) and entry:
        entry = entry[0]
    return entry if isinstance(entry, dict) else {}


def _first_person(source: Source) -> dict[str, Any]:
    """The first person of a JSON file that is a mapping with joints, in a frame of persons or a frame itself."""
    listed = _listed(source.json) if source.is_json else []
    entries = list(listed.values()) if isinstance(listed, dict) else listed
    return next((entry for entry in _mappings(entries) if not entry.keys().isdisjoint(POINTS)), {})


def _mappings(entry: Any) -> Iterator[dict[str, Any]]:
    """The mappings in lists, and in these the persons."""
    if isinstance(entry, dict):
        yield entry
        entry = next((entry[key] for key in PEOPLE if isinstance(entry.get(key), list)), None)
    for item in entry if isinstance(entry, list) else ():
        if isinstance(item, int | float | str):
            return  # numbers
        yield from _mappings(item)


def _is_frame(content: Any) -> bool:
    """Whether this is the content of a file of OpenPose."""
    return isinstance(content, dict) and "people" in content


def _is_picture(content: Any) -> bool:
    """Whether this is the content of a file of a picture: persons with boxes, without a frame's number."""
    return isinstance(content, list) and all(
        isinstance(person, dict)
        and "keypoints" in person
        and person.keys() & {"bbox", "box"}
        and not person.keys() & set(_NUMBER)
        for person in content
    )


def _is_named_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf")


def _content(path: Path) -> Any:
    """What a file of a folder holds; None: it is no JSON."""
    with suppress(ValueError):
        return read_json(path, _MAX_FRAME_MB)
    return None


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
                yield path.stem.removesuffix("_keypoints"), people_of(content)
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
    if isinstance(names, dict):
        facts = {"joint_names": [names[key] for key in sorted(names, key=natural_key)]} | facts
    if named := skeleton_named(facts):
        fields["skeleton"] = named
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
        return [{"joints": listed}] if any(map(is_joint, listed)) else listed
    deep = [key for key, value in listed.items() if depth_of(value) > 1]
    key = next((key for key in POINTS if key in deep), None)
    if key is None:
        if len(deep) != 1 or _FRAME_NAME.search(deep[0]):
            return listed
        frames = listed[deep[0]]
        if deep[0] in PEOPLE and any(isinstance(item, dict) and not is_joint(item) for item in frames):
            return [listed]
        return _unfolded(frames) if isinstance(frames, list) or all(map(str.isdecimal, frames)) else listed
    if depth_of(frames := listed[key]) < 3:
        return [listed]
    if isinstance(frames, dict):
        return {name: {key: frame} for name, frame in frames.items()}
    return [{key: frame} for frame in frames]


def _frames(listed: list[Any] | dict[str, Any]) -> list[tuple[Any, list[Person]]]:
    """The number, or the name, and the persons of each frame."""
    if isinstance(listed, dict):
        names = [name for name, entry in listed.items() if entry is None or isinstance(entry, list | dict)]
        return [(name, people_of(listed[name])) for name in sorted(names, key=natural_key)]
    frames: list[tuple[Any, list[Person]]] = []
    for place, entry in enumerate(listed):
        number: Any = place
        if isinstance(entry, dict):
            alone = 0 if "box" in entry or "bbox" in entry else place  # all persons of a picture
            number = next((entry[key] for key in _NUMBER if isinstance(entry.get(key), int | float | str)), alone)
            number = int(number) if isinstance(number, float) and number.is_integer() else number
        frames.append((number, people_of(entry)))
    return frames
