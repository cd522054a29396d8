"""pyskl and MMAction2 pickles to arrays: `python data_gen/pyskl_gendata.py --data_path FILE --out_folder FOLDER`.

Reads the annotation files of PYSKL (Duan et al., ACM MM 2022), `ntu60_3danno.pkl`, `ntu60_hrnet.pkl` and the like:
{split: {name: [frame_dir, ...]}, annotations: [{frame_dir, total_frames, label, keypoint (M, T, V, C)}, ...]}.
Axis legend: M persons, T frames, V joints, C channels.

- 3-D, C = 3: coordinates as the file has them, neither centred nor turned (`center` of the feeder does the first).
- 2-D, C = 2, pixels, with keypoint_score (M, T, V) and img_shape (height, width): the channels are those of
  Kinetics-skeleton, x / width - 0.5, 0.5 - y / height (up is positive) and the score; a joint whose score is not above
  0 is zero.

`xsub_train` goes to `{out_folder}/xsub/train_data_joint.npy` (N, 3, 300, V, 2) float32 and `train_label.pkl`, a pickle
of (frame_dirs, labels) ordered by name; `train` goes to `{out_folder}` itself, `train1` to `{out_folder}/split1`. A
`test` split is our val, and keeps its own name only where there is a val beside it. The first persons of the file's
order are kept, and the first frames; after its last frame a sample is zero. The pickle is held in memory; the arrays
are written row by row.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from tqdm import tqdm

from data_gen.common.command_line import Parser, Report, first_kept, run
from data_gen.common.derived import JOINT, beside, outdated
from data_gen.common.storage import Staging, require_space
from feeders.untrusted import load_pickle
from graph.common.words import plural

_MAX_CLASS = 10_000  # no data set has so many; anything above is something else
_MAX_VALUE = 1e6  # far beyond any room in metres and any picture in pixels
_SPLIT = re.compile(r"(?:([A-Za-z0-9][\w-]*)_)?(train|val|test)(\d*)", re.ASCII)


class Clip(NamedTuple):
    """An annotation: `keypoint` (M, T, V, C) and `score` (M, T, V) as the file has them, `img_shape` in pixels."""

    label: int
    keypoint: np.ndarray
    score: np.ndarray | None
    img_shape: tuple[float, float]

    @property
    def kind(self) -> str:
        """What all clips of a file share."""
        return f"{plural(self.keypoint.shape[2], 'joint')} in {'3-D' if self.score is None else '2-D'}"


def read_clip(annotation: dict[str, Any]) -> Clip:
    """Check an annotation's fields; their numbers are looked at in `to_sample`.

    Raises:
        ValueError: a field is missing or not of its form; the message names it.
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


def to_sample(clip: Clip, *, max_frame: int = 300, num_person: int = 2) -> np.ndarray:
    """The first frames and persons as (C, T, V, M) float32, C = x, y, z or x, y, score, zero padded.

    Raises:
        ValueError: a number that is none of a body, or no body at all.
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
    M, T, V, C = kept.shape
    sample = np.zeros((C, max_frame, V, num_person), np.float32)
    sample[:, :T, :, :M] = kept.transpose(3, 1, 2, 0)
    if not sample.any():
        raise ValueError("no body in any frame")
    return sample


def gendata(
    data_path: str | Path, out_folder: str | Path, *, max_frame: int = 300, num_person: int = 2, strict: bool = False
) -> Report:
    """Convert an annotation file; finished files are replaced only by complete ones.

    Args:
        data_path: the pickle; nothing that it names is called.
        out_folder: gets the arrays, one folder a benchmark.
        max_frame: T of the arrays.
        num_person: M of the arrays.
        strict: stop at the first annotation, split or name that cannot be used, instead of skipping it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not of this form, nothing to convert, no space, or (`strict`) something that cannot be used.
    """
    data_path, out_folder, report = Path(data_path), Path(out_folder), Report()
    if max_frame < 1 or num_person < 1:
        raise ValueError(f"max_frame {max_frame} and num_person {num_person} must be at least 1")
    if not data_path.is_file():
        raise FileNotFoundError(f"{data_path} is no file; --data_path takes an annotation file of pyskl or MMAction2")
    match load_pickle(data_path):
        case {"split": dict(splits), "annotations": list(annotations)}:
            pass
        case _:
            raise ValueError(f"{data_path}: a dictionary of split and annotations is expected")
    size = {"max_frame": max_frame, "num_person": num_person}
    clips, broken = _usable_clips(annotations, size, report, strict=strict)
    parts = _parts(splits, clips, broken, report, strict=strict)
    if not any(parts.values()):
        first = f"; the first problem is {report.skipped[0]}" if report.skipped else ""
        raise ValueError(f"{data_path}: no split has an annotation that can be used{first}")
    _write(out_folder, parts, clips, size, report)
    report.notes += _notes(parts, clips, size)
    return report


def _usable_clips(
    annotations: list[Any], size: dict[str, int], report: Report, *, strict: bool
) -> tuple[dict[str, Clip], set[str]]:
    """By frame_dir, the clips that make samples; and the frame_dirs of those that do not."""
    clips: dict[str, Clip] = {}
    broken: set[str] = set()
    for index, annotation in enumerate(tqdm(annotations, desc="check", unit="clip", disable=None)):
        name = annotation.get("frame_dir") if isinstance(annotation, dict) else None
        if not isinstance(name, str):
            report.skip(f"annotation {index}: it has no frame_dir", strict=strict)
            continue
        try:
            if name in clips:
                raise ValueError("a second annotation of this frame_dir; the first is taken")
            clip = read_clip(annotation)
            to_sample(clip, **size)
            clips[name] = clip
        except ValueError as error:
            report.skip(f"{name}: {error}", strict=strict)
            broken.add(name)
    kinds = Counter(clip.kind for clip in clips.values())
    for name, clip in list(clips.items()):
        if clip.kind != (usual := kinds.most_common(1)[0][0]):
            report.skip(f"{name}: {clip.kind}, where most clips have {usual}", strict=strict)
            broken.add(name)
            del clips[name]
    return clips, broken


def _parts(
    splits: dict[Any, Any], clips: dict[str, Clip], broken: set[str], report: Report, *, strict: bool
) -> dict[Path, list[str]]:
    """By the array's path within the outcome: the frame_dirs of its rows, in order."""
    parts: dict[Path, list[str]] = {}
    for split, listed in splits.items():
        try:
            place = _place(split, splits)
            if place in parts:
                raise ValueError(f"another split goes to {place.as_posix()}")
            if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
                raise ValueError("a list of frame_dirs is expected")
        except ValueError as error:
            report.skip(f"split {split!r}: {error}", strict=strict)
            continue
        for name, count in Counter(listed).items():
            if count > 1:
                report.skip(f"split {split!r}: {name} is listed {count} times and taken once", strict=strict)
            if name not in clips and name not in broken:
                report.skip(f"split {split!r}: {name} has no annotation", strict=strict)
        parts[place] = sorted(clips.keys() & set(listed))
    return parts


def _place(split: Any, splits: dict[Any, Any]) -> Path:
    """`xsub_train` -> `xsub/train_data_joint.npy`; folders in small letters, for not every disk tells them apart."""
    match = _SPLIT.fullmatch(split) if isinstance(split, str) else None
    if match is None:
        raise ValueError("its name is not of the form xsub_train, train or train1 (or val, or test)")
    benchmark, part, number = match.groups(default="")
    if part == "test" and f"{split[: match.start(2)]}val{number}" not in splits:
        part = "val"
    folder = f"{benchmark or 'split'}{number}".lower() if benchmark or number else ""
    return Path(folder, f"{part}_{JOINT}")


def _write(
    out_folder: Path, parts: dict[Path, list[str]], clips: dict[str, Clip], size: dict[str, int], report: Report
) -> None:
    any_clip = next(iter(clips.values()))
    row_shape = to_sample(any_clip, **size).shape
    num_row = sum(map(len, parts.values()))
    out_folder.mkdir(parents=True, exist_ok=True)
    require_space(out_folder, 4 * int(np.prod(row_shape)) * num_row)
    with Staging() as staging, tqdm(total=num_row, desc="write", unit="clip", disable=None) as bar:
        for place, names in parts.items():
            target = out_folder / place
            writer = staging.array(target, len(names), row_shape)
            for name in names:
                writer.append(to_sample(clips[name], **size))
                bar.update()
            staging.labels(beside(target, "label.pkl"), names, [clips[name].label for name in names])
            report.written[target] = writer.shape
            report.notes += outdated(target)


def _notes(parts: dict[Path, list[str]], clips: dict[str, Clip], size: dict[str, int]) -> list[str]:
    """What a user should know of a file that is in order."""
    used = {name: clips[name] for names in parts.values() for name in names}
    labels = {clip.label for clip in used.values()}
    notes = [f"{plural(len(labels), 'class', 'classes')}, labels {min(labels)} to {max(labels)}"]
    for axis, (what, kept) in enumerate([("person", size["num_person"]), ("frame", size["max_frame"])]):
        if count := sum(clip.keypoint.shape[axis] > kept for clip in used.values()):
            clips_have = plural(count, "clip has", "clips have")
            notes.append(f"{clips_have} more than {plural(kept, what)}; {first_kept(kept)}")
    if unused := clips.keys() - used:
        notes.append(f"{plural(len(unused), 'annotation is', 'annotations are')} in no split ({min(unused)} ...)")
    for place, names in parts.items():
        train = place.with_name(f"train_{JOINT}")
        if place != train and (both := set(names) & set(parts.get(train, ()))):
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


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and convert."""
    parser = Parser(description=__doc__)
    parser.option("data_path", required=True, help="annotation file of pyskl or MMAction2 (.pkl)")
    parser.option("out_folder", required=True, help="gets the arrays, one folder a benchmark")
    parser.option("max_frame", type=int, default=300, help="T of the arrays (default: %(default)s)")
    parser.option("num_person", type=int, default=2, help="M of the arrays (default: %(default)s)")
    parser.strict()
    return gendata(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    run(main)
