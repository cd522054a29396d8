"""Annotation files of PYSKL (Duan et al., ACM MM 2022) and MMAction2, pickles of

    {split: {name: [frame_dir, ...]}, annotations: [annotation, ...]}, or of the list of annotations alone;
    annotation: {frame_dir or filename, total_frames, label, keypoint (M, T, V, C), keypoint_score (M, T, V),
                 img_shape (height, width), which may be missing}.

- C = 3 without score is 3-D, except where the third channel lies between 0 and 1 and x and y are pixels: x, y, score.
- C = 2 is 2-D, with or without score.
- Kinetics-400: `frame_inds` (K,) names the frame of each of K bodies, `keypoint` (K, V, 3) has x, y, score; it lies in
  the annotation or in `raw_file`, a pickle {frame_dir: {keypoint}} beside the annotation file.

A joint with a NaN, or whose score is not above 0, is missing; without score, one whose coordinates are all zero.
Axis legend: M persons, T frames, V joints, C channels. Nothing that a pickle names is called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from data_gen.formats.arrays import guess_channels
from data_gen.formats.files import Source, by_frame
from data_gen.formats.recording import MAX_VALUE, Recording
from feeders.untrusted import load_pickle
from graph.channels import Channels
from graph.common.words import plural

_MAX_CLASS = 10_000  # no data set has as many classes


class Annotations(NamedTuple):
    """The content of an annotation file."""

    by_name: dict[str, dict[str, Any]]
    splits: dict[Any, Any] | None  # as in the file; None: it is a list of annotations alone
    problems: list[str]  # annotations that cannot be used


def load_annotations(path: Path) -> Annotations:
    """The annotations of a file by their names; `recording_of` checks them.

    Raises:
        ValueError: another form of file; the message names it.
    """
    content = load_pickle(path)
    annotations, splits = content, None
    if isinstance(content, dict):
        annotations, splits = content.get("annotations"), content.get("split", content.get("splits"))
    is_list = isinstance(annotations, list | tuple) and (annotations is not content or _are_mappings(annotations))
    if not is_list or not isinstance(splits, dict | None):
        raise ValueError(f"{path}: split and annotations, or a list of annotations, are expected")
    by_name: dict[str, dict[str, Any]] = {}
    problems = []
    for index, annotation in enumerate(annotations):
        name = None
        if isinstance(annotation, dict):
            name = annotation.get("frame_dir", annotation.get("filename"))
        if not isinstance(name, str):
            problems.append(f"annotation {index}: it has no frame_dir")
        elif name in by_name:
            problems.append(f"{name}: a second annotation of this frame_dir; the first is taken")
        else:
            by_name[name] = annotation
    return Annotations(by_name, splits, problems)


def _are_mappings(annotations: Sequence[Any]) -> bool:
    return bool(annotations) and all(isinstance(item, dict) for item in annotations)


def names_of(listed: Any) -> list[str]:
    """The names of a split, which may be any iterable of text.

    Raises:
        ValueError: it is none.
    """
    if isinstance(listed, str | bytes | dict) or not isinstance(listed, Iterable):
        raise ValueError("a list of frame_dirs is expected")
    names = list(listed)
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a list of frame_dirs is expected")
    return list(map(str, names))  # numpy's text too


def part_of_file(path: Path) -> str | None:
    """The part that the name of a file without splits tells (`ntu60_xsub_train.pkl`), or None."""
    words = re.split(r"[\W_]+", path.stem.lower())
    return next((part for part in ("train", "val", "test") if part in words), None)


def read_pyskl(source: Source) -> Iterator[Recording]:
    """The recordings of an annotation file, with their labels, and splits where there is one train split."""
    try:
        content = load_annotations(source.path)
    except ValueError as error:
        raise ValueError(str(error).removeprefix(f"{source.path}").lstrip(": ")) from error
    split_of: dict[str, str | None] = {}
    if content.splits is None:
        split_of = dict.fromkeys(content.by_name, part_of_file(source.path))
    elif sum("train" in str(split).lower() for split in content.splits) == 1:
        for split, listed in content.splits.items():
            part = next((part for part in ("train", "val", "test") if part in str(split).lower()), None)
            split_of |= dict.fromkeys(names_of(listed), part) if part else {}
    for problem in content.problems:
        source.skip(problem)
    body_file = BodyFiles(source.path.parent)
    for name, annotation in content.by_name.items():
        try:
            part = split_of.get(name)
            recording = recording_of(name, annotation, split=part, body_file=body_file, needs_label=False)
        except ValueError as error:
            source.skip(f"{name}: {error}")
        else:
            yield recording


class BodyFiles:
    """The files of Kinetics-400 that hold the bodies; one is kept in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._content: Any = None

    def __call__(self, annotation: dict[str, Any], name: str) -> Any:
        """The bodies (K, V, C) of an annotation.

        Raises:
            ValueError: their file is not there, or does not hold them.
        """
        named = PurePosixPath(str(annotation["raw_file"]).replace("\\", "/"))
        tries = [self._folder / part for part in (named, PurePosixPath(*named.parts[-2:]), named.name)]
        path = next((path for path in tries if path.is_file()), None)
        if path is None:
            raise ValueError(f"its keypoints are in {named.as_posix()}, which is not beside the annotation file")
        if path != self._path:
            self._content, self._path = load_pickle(path), path
        bodies = self._content.get(name) if isinstance(self._content, dict) else None
        bodies = bodies.get("keypoint") if isinstance(bodies, dict) else bodies
        if bodies is None:
            raise ValueError(f"{named.as_posix()} has no keypoints of it")
        return bodies


def recording_of(
    name: str,
    annotation: dict[str, Any],
    *,
    split: str | None = None,
    body_file: Callable[[dict[str, Any], str], Any] | None = None,
    needs_label: bool = True,
) -> Recording:
    """The recording of an annotation, in its own numbers; a label of -1, as demos write it, is none.

    Raises:
        ValueError: a field is missing or has another form; the message names it.
    """
    label: int | str | None = None
    if not needs_label and isinstance(annotation.get("label"), str):
        label = annotation["label"]
    elif needs_label or annotation.get("label", -1) not in (None, -1):
        label = _whole_number(annotation, "label")
        if not 0 <= int(label) < _MAX_CLASS:
            raise ValueError(f"label {label} is no class")
    if "keypoint" not in annotation and "raw_file" in annotation and body_file:
        annotation = annotation | {"keypoint": body_file(annotation, name)}
    if "frame_inds" in annotation:
        T = _whole_number(annotation, "total_frames")
        joints = _unpacked(annotation, T)
    else:
        if (keypoint := _array(annotation, "keypoint", "MTVC", "TVC")).ndim == 3:  # of one person
            keypoint = keypoint[None]
        T = _whole_number(annotation, "total_frames") if "total_frames" in annotation else keypoint.shape[1]
        joints = keypoint.astype(np.float64).swapaxes(0, 1)
        if len(joints) != T:
            raise ValueError(f"total_frames is {T}, keypoint has {plural(len(joints), 'frame')}")
    C = joints.shape[3]
    if C not in (2, 3):
        raise ValueError(f"keypoint has {plural(C, 'channel')}, 2 or 3 are expected")
    channels = guess_channels(joints) if joints.size else Channels(("x", "y", "z")[:C])
    if "frame_inds" in annotation and C == 3:
        channels = Channels(("x", "y", "score"))
    if "keypoint_score" in annotation and "frame_inds" not in annotation:
        score = _array(annotation, "keypoint_score", "MTV", "MTVC", "TV")
        score = score[None] if score.ndim == 2 else score[..., 0] if score.ndim == 4 and score.shape[3] == 1 else score
        if score.shape != (joints.shape[1], T, joints.shape[2]):
            keypoint_shape = (joints.shape[1], T, *joints.shape[2:])
            raise ValueError(f"keypoint {keypoint_shape} and keypoint_score {score.shape} do not fit each other")
        scores = score.astype(np.float64).swapaxes(0, 1)[..., None]
        if C == 3 and (channels.score is not None or np.array_equal(joints[..., 2:], scores)):
            joints, C = joints[..., :2], 2  # they are there twice
        joints = np.concatenate([joints, scores], axis=3)
        channels = Channels((*"xyz"[:C], "score"), channels.unit)
    if channels.is_flat and annotation.get("img_shape") is not None:
        channels = Channels(channels.names, "pixels", _picture(annotation))
    if 0 in joints.shape:
        raise ValueError("no body in any frame")
    listed = np.full(joints.shape[:2], -1) if "frame_inds" in annotation else None  # by frame, in any order
    joints = _without_missing(joints, channels)
    return Recording.of(name, joints, channels, label=label, split=split, identity=listed)


def _without_missing(joints: np.ndarray, channels: Channels) -> np.ndarray:
    """`joints` in which what pyskl means by missing is NaN."""
    score = channels.score
    absent = (joints == 0).all(axis=-1) if score is None else ~(joints[..., score] > 0)
    return np.where(absent[..., None], np.nan, joints)


def _unpacked(annotation: dict[str, Any], T: int) -> np.ndarray:
    """The bodies (K, V, C) of frames `frame_inds` (K,) as joints (T, M, V, C), in the file's order in each frame."""
    bodies, frames = _array(annotation, "keypoint", "KVC"), _array(annotation, "frame_inds", "K")
    if "keypoint_score" in annotation and len(score := _array(annotation, "keypoint_score", "KV")) == len(bodies):
        bodies = np.concatenate([bodies[..., :2], score[..., None]], axis=2)
    if frames.dtype.kind not in "iu" or len(frames) != len(bodies) or not ((frames >= 0) & (frames < T)).all():
        raise ValueError(f"frame_inds are not the frames, of {T}, of {plural(len(bodies), 'body', 'bodies')}")
    if not len(bodies):
        raise ValueError("no body in any frame")
    return by_frame(bodies, frames, T)


def _field(annotation: dict[str, Any], key: str) -> Any:
    if key not in annotation:
        raise ValueError(f"it has no {key}")
    return annotation[key]


def _whole_number(annotation: dict[str, Any], key: str) -> int:
    value = _field(annotation, key)
    value = value[()] if isinstance(value, np.ndarray) and not value.ndim else value
    value = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{key} is no whole number")
    return int(value)


def _array(annotation: dict[str, Any], key: str, axes: str, *others: str) -> np.ndarray:
    """A field with these axes, or one of the others, as an array; lists are, too."""
    value = _field(annotation, key)
    with suppress(ValueError, TypeError, OverflowError):
        value = np.asarray(value) if isinstance(value, list | tuple) else value
    numbers = isinstance(value, np.ndarray) and value.dtype.kind in "fiu"
    if not numbers or value.ndim not in map(len, (axes, *others)):
        raise ValueError(f"{key} is no array of numbers ({', '.join(axes)})")
    return value


def _picture(annotation: dict[str, Any]) -> tuple[int, int]:
    """Width and height in pixels."""
    try:
        height, width = map(float, tuple(annotation["img_shape"])[:2])  # pictures may have channels, too
    except (TypeError, ValueError, OverflowError):
        height = width = 0.0
    if not (1 <= height < MAX_VALUE and 1 <= width < MAX_VALUE):
        raise ValueError("img_shape is not (height, width) in pixels")
    return int(width), int(height)
