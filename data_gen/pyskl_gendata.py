"""pyskl and MMAction2 pickles to arrays: `python data_gen/pyskl_gendata.py --data_path FILE --out_folder FOLDER`.

Reads the annotation files of PYSKL (Duan et al., ACM MM 2022), `ntu60_3danno.pkl`, `ntu60_hrnet.pkl` and the like:
{split: {name: [frame_dir, ...]}, annotations: [{frame_dir, total_frames, label, keypoint (M, T, V, C)}, ...]}.
Axis legend: M persons, T frames, V joints, C channels.

- 3-D, C = 3: coordinates as in the file, neither centred (`center` of the feeder does this) nor rotated.
- 2-D, C = 2, pixels, with keypoint_score (M, T, V) and img_shape (height, width): the channels are those of
  Kinetics-skeleton, x / width - 0.5, 0.5 - y / height (up is positive) and the score; a joint whose score is not above
  0 is zero.

`xsub_train` goes to `{out_folder}/xsub/train_data_joint.npy` (N, 3, 300, V, 2) float32 and `train_label.pkl`, a pickle
of (frame_dirs, labels) ordered by name; `train` goes to `{out_folder}` itself, `train1` to `{out_folder}/split1`. A
`test` split is written as val, unless there is a val split beside it. The first persons and frames are kept, in the
file's order; shorter samples are padded with zeros. The pickle is held in memory; arrays are written row by row.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from data_gen.common.command_line import Report, main_of, run
from data_gen.common.convert import Row, Sample, drop_unusual, read_each, to_row, write_arrays
from feeders.arrays import JOINT
from feeders.untrusted import load_pickle
from graph.common.words import plural

_MAX_CLASS = 10_000  # no data set has as many classes
_MAX_VALUE = 1e6  # far beyond any room in metres and any picture in pixels
_SPLIT = re.compile(r"(?:([A-Za-z0-9][\w-]*)_)?(train|val|test)(\d*)", re.ASCII)


class Clip(NamedTuple):
    """An annotation: `keypoint` (M, T, V, C) and `score` (M, T, V) as in the file, `img_shape` in pixels."""

    label: int
    keypoint: np.ndarray
    score: np.ndarray | None
    img_shape: tuple[float, float]

    @property
    def kind(self) -> str:
        """What all clips of a file must share."""
        return f"{plural(self.keypoint.shape[2], 'joint')} in {'3-D' if self.score is None else '2-D'}"


def read_clip(annotation: dict[str, Any]) -> Clip:
    """The clip of an annotation whose fields have the right form; `to_sample` checks their numbers.

    Raises:
        ValueError: a field is missing or has another form; the message names it.
    """
    label, num_frame = _whole_number(annotation, "label"), _whole_number(annotation, "total_frames")
    if not 0 <= label < _MAX_CLASS:
        raise ValueError(f"label {label} is no class")
    keypoint, score, img_shape = _array(annotation, "keypoint", "MTVC"), None, (1.0, 1.0)
    if "keypoint_score" in annotation:
        score, img_shape = _array(annotation, "keypoint_score", "MTV"), _picture(annotation)
        if score.shape != keypoint.shape[:3]:
            raise ValueError(f"keypoint {keypoint.shape} and keypoint_score {score.shape} do not fit each other")
    if keypoint.shape[3] != (channels := 3 if score is None else 2):
        with_score = "out" if score is None else ""
        raise ValueError(f"with{with_score} keypoint_score, keypoint has {channels} channels, not {keypoint.shape[3]}")
    if keypoint.shape[1] != num_frame:
        raise ValueError(f"total_frames is {num_frame}, keypoint has {plural(keypoint.shape[1], 'frame')}")
    return Clip(label, keypoint, score, img_shape)


def to_sample(clip: Clip, *, max_frame: int = 300, num_person: int = 2) -> Row:
    """The first frames and persons as a row (C, T, V, M), C = x, y, z or x, y, score.

    Raises:
        ValueError: a number that no body has, or no body at all.
    """
    kept = clip.keypoint[:num_person, :max_frame].astype(np.float64)
    if clip.score is not None:
        kept = np.concatenate([kept, clip.score[:num_person, :max_frame, :, None]], axis=3)
    if not (np.abs(kept) < _MAX_VALUE).all():  # NaN compares false
        raise ValueError("a coordinate or score is NaN or beyond any measure")
    if clip.score is not None:
        height, width = clip.img_shape
        kept[..., 0] = kept[..., 0] / width - 0.5
        kept[..., 1] = 0.5 - kept[..., 1] / height
        kept[kept[..., 2] <= 0] = 0
    M, T = clip.keypoint.shape[:2]
    return to_row(kept.swapaxes(0, 1), max_frame, num_person)._replace(num_frame=T, num_person=M)


def gendata(
    data_path: str | Path, out_folder: str | Path, *, max_frame: int = 300, num_person: int = 2, strict: bool = False
) -> Report:
    """Convert an annotation file; finished files are replaced only by complete ones.

    Args:
        data_path: annotation file of pyskl or MMAction2 (.pkl); nothing that it names is called.
        out_folder: gets the arrays, one folder a benchmark.
        max_frame: T of the arrays.
        num_person: M of the arrays.
        strict: stop at the first annotation, split or name that cannot be used, instead of skipping it.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: another form of file, nothing to convert, no room on the disk, or (`strict`) something that cannot
            be used.
    """
    data_path, report = Path(data_path), Report(strict=strict)
    if max_frame < 1 or num_person < 1:
        raise ValueError(f"max_frame {max_frame} and num_person {num_person} must be at least 1")
    if not data_path.is_file():
        raise FileNotFoundError(f"{data_path} is no file; --data_path takes an annotation file of pyskl or MMAction2")
    match load_pickle(data_path):
        case {"split": dict(splits), "annotations": list(annotations)}:
            pass
        case _:
            raise ValueError(f"{data_path}: a dictionary of split and annotations is expected")
    nothing = f"{data_path}: no split has an annotation that can be used"
    convert = partial(to_sample, max_frame=max_frame, num_person=num_person)
    named = _named(annotations, report)
    clips = dict(read_each(partial(_checked, convert), named, report, nothing=nothing, task="check"))
    drop_unusual(clips, lambda clip: clip.kind, report, unit="clip")
    parts = _parts(splits, clips, named.keys() - clips.keys(), report)
    if not any(parts.values()):
        raise report.failure(nothing)
    samples = {
        name: Sample(name, clip.label, tuple(place.as_posix() for place, names in parts.items() if name in names))
        for name, clip in sorted(clips.items())
    }
    samples = {name: sample for name, sample in samples.items() if sample.arrays}
    rows = ((sample, convert(clips[name])) for name, sample in samples.items())
    row_shape = convert(next(iter(clips.values()))).x.shape
    arrays = [place.as_posix() for place in parts]
    write_arrays(Path(out_folder), arrays, samples.values(), rows, report, row_shape=row_shape, unit="clip")
    report.notes += _notes(parts, clips, samples)
    return report


def _named(annotations: list[Any], report: Report) -> dict[str, dict[str, Any]]:
    """The annotations by their frame_dir."""
    named: dict[str, dict[str, Any]] = {}
    for index, annotation in enumerate(annotations):
        name = annotation.get("frame_dir") if isinstance(annotation, dict) else None
        if not isinstance(name, str):
            report.skip(f"annotation {index}: it has no frame_dir")
        elif name in named:
            report.skip(f"{name}: a second annotation of this frame_dir; the first is taken")
        else:
            named[name] = annotation
    return named


def _checked(convert: Callable[[Clip], Row], annotation: dict[str, Any]) -> Clip:
    clip = read_clip(annotation)
    convert(clip)
    return clip


def _parts(splits: dict[Any, Any], clips: dict[str, Clip], broken: set[str], report: Report) -> dict[Path, set[str]]:
    """The frame_dirs of each array, by the array's path relative to the output folder."""
    parts: dict[Path, set[str]] = {}
    for split, listed in splits.items():
        try:
            place = _place(split, splits)
            if place in parts:
                raise ValueError(f"another split goes to {place.as_posix()}")
            if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
                raise ValueError("a list of frame_dirs is expected")
        except ValueError as error:
            report.skip(f"split {split!r}: {error}")
            continue
        for name, count in Counter(listed).items():
            if count > 1:
                report.skip(f"split {split!r}: {name} is listed {count} times and taken once")
            if name not in clips and name not in broken:
                report.skip(f"split {split!r}: {name} has no annotation")
        parts[place] = clips.keys() & set(listed)
    return parts


def _place(split: Any, splits: dict[Any, Any]) -> Path:
    """`xsub_train` -> `xsub/train_data_joint.npy`; folders in small letters, because some disks ignore the case."""
    match = _SPLIT.fullmatch(split) if isinstance(split, str) else None
    if match is None:
        raise ValueError("its name is not of the form xsub_train, train or train1 (or val, or test)")
    benchmark, part, number = match.groups(default="")
    if part == "test" and f"{split[: match.start(2)]}val{number}" not in splits:
        part = "val"
    folder = f"{benchmark or 'split'}{number}".lower() if benchmark or number else ""
    return Path(folder, f"{part}_{JOINT}")


def _notes(parts: dict[Path, set[str]], clips: dict[str, Clip], samples: dict[str, Sample]) -> list[str]:
    """What a user should know of a file that has been converted."""
    labels = {sample.label for sample in samples.values()}
    notes = [f"{plural(len(labels), 'class', 'classes')}, labels {min(labels)} to {max(labels)}"]
    if unused := clips.keys() - samples.keys():
        notes.append(f"{plural(len(unused), 'annotation is', 'annotations are')} in no split ({min(unused)} ...)")
    for place, names in parts.items():
        train = place.with_name(f"train_{JOINT}")
        if place != train and (both := names & parts.get(train, set())):
            clips_are = plural(len(both), "of its clips is a training one", "of its clips are training ones")
            notes.append(f"{place}: {clips_are} too ({min(both)} ...)")
    return notes


def _field(annotation: dict[str, Any], key: str) -> Any:
    if key not in annotation:
        raise ValueError(f"it has no {key}")
    return annotation[key]


def _whole_number(annotation: dict[str, Any], key: str) -> int:
    value = _field(annotation, key)
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{key} is no whole number")
    return int(value)


def _array(annotation: dict[str, Any], key: str, axes: str) -> np.ndarray:
    value = _field(annotation, key)
    if not isinstance(value, np.ndarray) or value.ndim != len(axes) or value.dtype.kind not in "fiu":
        raise ValueError(f"{key} is no array of numbers ({', '.join(axes)})")
    return value


def _picture(annotation: dict[str, Any]) -> tuple[float, float]:
    """Height and width in pixels."""
    value = _field(annotation, "img_shape")
    try:
        height, width = map(float, value)
    except (TypeError, ValueError, OverflowError):
        height = width = 0.0
    if not (1 <= height < _MAX_VALUE and 1 <= width < _MAX_VALUE):
        raise ValueError("img_shape is not (height, width) in pixels")
    return height, width


main = main_of(gendata, __doc__)

if __name__ == "__main__":
    run(main)
