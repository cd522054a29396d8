"""Converts pickles of pyskl and MMAction2: `python data_gen/pyskl_gendata.py --data_path FILE --out_folder FOLDER`.

Reads the annotation files of PYSKL (Duan et al., ACM MM 2022) and MMAction2, such as `ntu60_3danno.pkl` and
`ntu60_hrnet.pkl`; `data_gen/formats/pyskl.py` describes all their forms. Axis legend: M persons, T frames, V joints,
C channels.

- 3-D: coordinates as in the file, neither centred (`center` of the feeder does this) nor rotated.
- 2-D, pixels: the channels are those of Kinetics-skeleton, x / width - 0.5, 0.5 - y / height (up is positive) and the
  score, if there is one; a joint with a score of 0 or less is zero.

The split `xsub_train` is written to `{out_folder}/xsub/train_data_joint.npy` (N, C, 300, V, 2) float32 and
`train_label.pkl`, a pickle of (frame_dirs, labels) ordered by name. The split `train` is written to `{out_folder}`
itself, and `train1` to `{out_folder}/split1`. A `test` split is written as val, unless there is a val split beside it.
A file without splits is train, or what its name says (`ntu60_xsub_val.pkl`). The first persons and frames are kept, in
the order of the file; shorter samples are padded with zeros. The whole pickle is held in memory.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from data_gen.common.command_line import Report, main_of, run
from data_gen.common.convert import Row, Sample, drop_unusual, made_by, read_each, to_row, write_arrays
from data_gen.formats.pyskl import BodyFiles, load_annotations, names_of, part_of_file, recording_of
from data_gen.formats.recording import Recording, outside_notes
from feeders.arrays import JOINT
from graph.channels import Channels
from graph.common.words import plural

_SPLIT = re.compile(r"(?:([A-Za-z0-9][\w-]*)_)?(train|val|test)(\d*)", re.ASCII | re.IGNORECASE)


def to_sample(recording: Recording, *, max_frame: int = 300, num_person: int = 2) -> Row:
    """The first frames and persons as a row (C, T, V, M): fractions of a picture of known size, else as in the file.

    Raises:
        ValueError: no body at all.
    """
    joints, picture = recording.joints[:max_frame, :num_person].astype(np.float64), recording.channels.picture
    if picture is not None:
        joints[..., 0] = joints[..., 0] / picture[0] - 0.5
        joints[..., 1] = 0.5 - joints[..., 1] / picture[1]
    T, M = recording.joints.shape[:2]
    row = to_row(joints, max_frame, num_person, recording.present[:max_frame, :num_person])
    return row._replace(num_frame=T, num_person=M)


def kind(recording: Recording) -> str:
    """What all clips of a file must share."""
    channels, joints = recording.channels, plural(recording.joints.shape[2], "joint")
    if not channels.is_flat:
        return f"{joints} in 3-D"
    lacking = ["score"] * (channels.score is None) + ["img_shape"] * (channels.picture is None)
    unit = " in pixels" * (channels.unit == "pixels" and channels.picture is None)
    return f"{joints} in 2-D{unit}{' without ' * bool(lacking)}{' and '.join(lacking)}"


def gendata(
    data_path: str | Path, out_folder: str | Path, *, max_frame: int = 300, num_person: int = 2, strict: bool = False
) -> Report:
    """Convert an annotation file; finished files are replaced only by complete ones.

    Args:
        data_path: annotation file of pyskl or MMAction2 (.pkl); nothing that it names is called.
        out_folder: folder for the arrays, with a subfolder for each benchmark.
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
    named, splits, problems = load_annotations(data_path)
    for problem in problems:
        report.skip(problem)
    if splits is None:
        part = part_of_file(data_path) or "train"
        splits = {part: list(named)}
        report.notes.append(f"{data_path.name} has no splits: all its clips are {part}")
    nothing = f"{data_path}: no split has an annotation that can be used"
    convert = partial(to_sample, max_frame=max_frame, num_person=num_person)
    check = partial(_checked, convert, BodyFiles(data_path.parent))
    clips = dict(read_each(check, {name: (name, named[name]) for name in named}, report, nothing=nothing, task="check"))
    drop_unusual(clips, kind, report, unit="clip")
    parts = _parts(splits, clips, named.keys() - clips.keys(), report)
    if not any(parts.values()):
        raise report.failure(nothing)
    samples = {
        name: Sample(
            name, int(clip.label or 0), tuple(place.as_posix() for place, names in parts.items() if name in names)
        )
        for name, clip in sorted(clips.items())
    }
    samples = {name: sample for name, sample in samples.items() if sample.arrays}
    rows = ((sample, convert(clips[name])) for name, sample in samples.items())
    first = next(iter(clips.values()))
    channels = first.channels if first.channels.picture is None else Channels(first.channels.names, "normalised")
    write_arrays(
        Path(out_folder),
        [place.as_posix() for place in parts],
        samples.values(),
        rows,
        report,
        row_shape=convert(first).x.shape,
        unit="clip",
        channels=channels,
        made=made_by("pyskl_gendata.py", max_frame=max_frame, num_person=num_person),
    )
    if channels.is_flat and channels.unit != "normalised":
        downwards = ", with y downwards" * (channels.unit == "pixels")
        report.notes.append(f"no clip has an img_shape: coordinates stay as they are{downwards}")
    report.notes += _notes(parts, clips, samples)
    report.notes += outside_notes((clips[name].outside() for name in samples), "clip")
    return report


def _checked(convert: Callable[[Recording], Row], bodies: BodyFiles, item: tuple[str, dict[str, Any]]) -> Recording:
    name, annotation = item
    recording = recording_of(name, annotation, body_file=bodies)
    convert(recording)
    return recording


def _parts(
    splits: dict[Any, Any], clips: dict[str, Recording], broken: set[str], report: Report
) -> dict[Path, set[str]]:
    """The frame_dirs of each array, by the array's path relative to the output folder."""
    parts: dict[Path, set[str]] = {}
    for split, listed in splits.items():
        try:
            place = _place(split, splits)
            if place in parts:
                raise ValueError(f"another split goes to {place.as_posix()}")
            names = names_of(listed)
        except ValueError as error:
            report.skip(f"split {split!r}: {error}")
            continue
        for name, count in Counter(names).items():
            if count > 1:
                report.skip(f"split {split!r}: {name} is listed {count} times and taken once")
            if name not in clips and name not in broken:
                report.skip(f"split {split!r}: {name} has no annotation")
        parts[place] = clips.keys() & set(names)
        if names and not parts[place]:
            report.skip(f"split {split!r}: none of its clips can be used, and it is not written")
            del parts[place]
    return parts


def _place(split: Any, splits: dict[Any, Any]) -> Path:
    """`xsub_train` -> `xsub/train_data_joint.npy`; folders in small letters, because some disks ignore the case."""
    match = _SPLIT.fullmatch(split) if isinstance(split, str) else None
    if match is None:
        raise ValueError("its name is not of the form xsub_train, train or train1 (or val, or test)")
    benchmark, part, number = match.groups(default="")
    part, other = part.lower(), f"{split[: match.start(2)]}val{number}".lower()
    if part == "test" and other not in (str(name).lower() for name in splits):
        part = "val"
    folder = f"{benchmark or 'split'}{number}".lower() if benchmark or number else ""
    return Path(folder, f"{part}_{JOINT}")


def _notes(parts: dict[Path, set[str]], clips: dict[str, Recording], samples: dict[str, Sample]) -> list[str]:
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


main = main_of(gendata, __doc__)

if __name__ == "__main__":
    run(main)
