"""Readers of Kinetics-skeleton, the release of ST-GCN (Yan et al., AAAI 2018): clips and label files, checked.

A clip is `ID.json`, {data: [{frame_index, skeleton: [{pose: [x0, y0, x1, ...], score: [...]}]}], label, label_index}:
the 18 joints of OpenPose, x and y in fractions of the picture from its upper left corner. A part's label file,
`kinetics_{part}_label.json`, is {ID: {has_skeleton, label, label_index}}.
Axis legend: K bodies of a clip, V joints.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from data_gen.formats.files import Source, by_frame, read_json
from data_gen.formats.places import frame_places
from data_gen.formats.recording import Recording
from graph.channels import Channels
from graph.kinetics import SKELETON

NUM_CLASS, NUM_FRAME, NUM_PERSON_READ = 400, 300, 5
_NUM_POSE, _NUM_SCORE = 2 * SKELETON.num_point, SKELETON.num_point
_MAX_CLIP, _MAX_LABELS = 16, 256  # MB; a clip of five persons has 0.5, the labels of train 30
_MAX_VALUE = 10  # fractions of the picture end a little above 1, pixels do not


class Clip(NamedTuple):
    """A file's class and its K bodies, those of a frame in the file's order."""

    label: int | None  # the class, from 0
    frame: np.ndarray  # (K,) index of each body's frame
    pose: np.ndarray  # (K, V, 2) x and y
    score: np.ndarray  # (K, V)
    num_frame: int  # number of frames of the clip, those that are not read too
    numbers: Sequence[int] = ()  # the frame_index of each entry of the file


def read_clip(path: Path, *, cut: bool = True) -> Clip:
    """The first five bodies of each of the first 300 frames, or (`cut` false) everybody, of a class or of none.

    Raises:
        ValueError: the file has another form; the message is the rest of a sentence that names it.
        OSError: the file cannot be read.
    """
    content = read_json(path, _MAX_CLIP)
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        raise ValueError("not of the form {data: [frames], label, label_index}")
    label = content.get("label_index")
    if not cut and (label is None or label == -1):  # what tools that write such files give a clip without a class
        label = None
    elif "label_index" not in content:
        raise ValueError("it has no label_index, the class of the clip")
    elif not _is_class(label):
        raise ValueError(f"label_index {label!a:.20} is no class from 0 to {NUM_CLASS - 1}")
    numbers_of: dict[int, array[float]] = {}
    for place, entry in enumerate(content["data"], 1):
        try:
            frame, numbers = _read_frame(entry, *((NUM_FRAME, NUM_PERSON_READ) if cut else (None, None)))
        except (KeyError, TypeError, OverflowError) as error:
            form = f"{{frame_index, skeleton: [{{pose: {_NUM_POSE} numbers, score: {_NUM_SCORE} numbers}}]}}"
            raise ValueError(f"entry {place} of data is not of the form {form}") from error
        if frame in numbers_of:
            raise ValueError(f"frame_index {frame} occurs twice")
        numbers_of[frame] = numbers
    kept = [frame for frame in numbers_of if not cut or frame < NUM_FRAME]
    bodies = [np.frombuffer(numbers_of[frame]).reshape(-1, _NUM_POSE + _NUM_SCORE) for frame in kept]
    values = np.concatenate([np.empty((0, _NUM_POSE + _NUM_SCORE)), *bodies])
    frames = np.repeat(np.array(kept, int), [len(rows) for rows in bodies])
    pose, score = values[:, :_NUM_POSE].reshape(-1, SKELETON.num_point, 2), values[:, _NUM_POSE:]
    absent = np.isnan(pose).any(axis=2) | np.isnan(score)  # a joint without its numbers is missing
    pose[absent], score[absent] = 0, 0
    sound = (np.abs(values) < _MAX_VALUE).all(axis=1) & (score >= 0).all(axis=1)
    if not sound.all():
        raise ValueError(f"frame_index {frames[~sound][0]}: a number is no fraction of the picture, or no score")
    return Clip(label, frames, pose, score, max(numbers_of, default=-1) + 1, list(numbers_of))


def is_kinetics(source: Source) -> bool:
    """Whether a JSON file is of the form of a clip."""
    content = source.json if source.is_json else None
    if not isinstance(content, dict) or not isinstance(data := content.get("data"), list):
        return False
    frame = data[0] if data and isinstance(data[0], dict) else {}
    return "label_index" in content or {"frame_index", "skeleton"} <= frame.keys()


def read_kinetics(source: Source) -> Iterator[Recording]:
    """A clip's bodies in the file's order, in fractions of the picture; joints whose score is 0 are missing.

    Errors are those of `read_clip`.
    """
    clip = read_clip(source.path, cut=False)
    values = np.concatenate([clip.pose, clip.score[..., None]], axis=2)
    values[values[..., 2] == 0] = np.nan
    places, frame, T = frame_places(clip.numbers), clip.frame, clip.num_frame
    fields: dict[str, Any] = {"label": clip.label, "skeleton": SKELETON}
    if places.stride > 1:
        frame, T = np.searchsorted(places.numbers, frame), len(places.numbers)
        fields |= {"frames": places.numbers, "notes": places.notes}
    channels = Channels(("x", "y", "score"), "normalised", (1, 1))
    yield Recording.of(source.name, by_frame(values, frame, T), channels, **fields)


def _read_frame(entry: Any, num_frame: int | None, num_person: int | None) -> tuple[int, array[float]]:
    """A frame's index, and pose and score of its first bodies in one array, which is empty for a frame that is cut."""
    frame, bodies, numbers = entry["frame_index"], entry["skeleton"], array("d")
    if type(frame) is not int or frame < 0:
        raise ValueError(f"frame_index {frame!a:.20} is no whole number from 0")
    for body in bodies[:num_person] if num_frame is None or frame < num_frame else ():
        pose, score = body["pose"], body["score"]
        if (len(pose), len(score)) != (_NUM_POSE, _NUM_SCORE):
            raise ValueError(
                f"frame_index {frame}: pose and score have {len(pose)} and {len(score)} numbers, "
                f"{_NUM_POSE} and {_NUM_SCORE} are expected"
            )
        numbers.fromlist(pose)
        numbers.fromlist(score)
    return frame, numbers


def read_labels(path: Path) -> dict[str, int | None]:
    """The class of each clip, from 0, by file name; None if the clip has no skeleton.

    Raises:
        ValueError: the file has another form; the message names it.
        OSError: the file cannot be read.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; it comes with the clips of Kinetics-skeleton")
    labels: dict[str, int | None] = {}
    try:
        entries = read_json(path, _MAX_LABELS)
        if not isinstance(entries, dict):
            raise ValueError("not of the form {ID: {has_skeleton, label, label_index}}")
        for clip, entry in entries.items():
            match entry:
                case {"has_skeleton": bool(has_skeleton), "label_index": label} if _is_class(label):
                    labels[f"{clip}.json"] = label if has_skeleton else None
                case _:
                    form = f"{{has_skeleton: true or false, label, label_index: 0 to {NUM_CLASS - 1}}}"
                    raise ValueError(f"entry {clip!a:.20} is not of the form {form}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}; take the label file of Kinetics-skeleton") from error
    return labels


def _is_class(label: Any) -> TypeGuard[int]:
    return type(label) is int and 0 <= label < NUM_CLASS
