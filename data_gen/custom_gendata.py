"""A user's own sequences to arrays: `python data_gen/custom_gendata.py --data_path FOLDER --label_path FILE ...`.

FOLDER and its subfolders hold one `.npy`, `.csv` or `.json` file for each sequence. `data_gen/formats/custom.py`
describes them and the CSV file of labels and splits; `graph/custom.py` describes the skeleton file. Writes, in the
order of the files' names, which keep their suffix:
- `{out_folder}/{train,val}_data_joint.npy` (N, C, T, V, M) float32, the coordinates as recorded: T is the longest
  sequence of both parts or `--max_frame`, M the most persons or `--num_person`; what a sequence lacks is zero;
- `{part}_label.pkl`, a pickle of `(names, labels)`, and `classes.txt`, the classes' names in their order, one a line;
- `skeleton.yaml`, a copy of the skeleton file, from which readers of the arrays know the bones.

A joint with a coordinate that is NaN (or empty, or null) is missing: all its channels become zero in this frame, as in
Kinetics-skeleton, and the report counts such joints. A sequence without any joint is skipped. Every file is read twice,
for its size and for its numbers, so that memory holds one sequence at a time.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from data_gen.common.command_line import Report, main_of, run
from data_gen.common.convert import Row, Sample, convert_files, drop_unusual, read_each, to_row
from data_gen.formats.custom import SUFFIXES, Labels, read_labels, read_sequence
from feeders.arrays import CLASSES, JOINT, PARTS, SKELETON
from graph.common.words import plural
from graph.custom import load_skeleton


class Size(NamedTuple):
    """What a file holds: T frames of M persons in C channels, and how many joints of those kept are missing."""

    num_frame: int
    num_person: int
    channel: int
    num_missing: int


def read_kept(
    path: Path, *, num_point: int, channel: int | None, max_frame: int | None, num_person: int | None
) -> tuple[Row, Size]:
    """A sequence as a row, in which missing joints are zero, and its size; None: as many as the file has.

    Raises:
        ValueError: the file has another form, or no joint is left; the message is the rest of a sentence that names it.
        OSError: the file cannot be read.
    """
    joints = read_sequence(path, num_point, channel=channel)
    T, M, _, C = joints.shape
    is_missing = np.isnan(joints).any(axis=3)
    row = to_row(np.where(is_missing[..., None], 0, joints), max_frame or T, num_person or M)
    return row, Size(T, M, C, int(is_missing[:max_frame, :num_person].sum()))


def read_size(path: Path, **options: Any) -> Size:
    """The size of a sequence; arguments and errors as `read_kept`."""
    return read_kept(path, **options)[1]


def read_row(path: Path, **options: Any) -> Row:
    """A sequence as a row; arguments and errors as `read_kept`."""
    return read_kept(path, **options)[0]


def gendata(
    data_path: str | Path,
    label_path: str | Path,
    *,
    skeleton: str | Path,
    out_folder: str | Path,
    max_frame: int | None = None,
    num_person: int | None = None,
    channel: int | None = None,
    strict: bool = False,
) -> Report:
    """Convert a folder of sequences; finished files are replaced only by complete ones.

    Args:
        data_path: the folder of the sequences.
        label_path: the CSV file with the columns file, label and split.
        skeleton: the YAML file that describes the skeleton.
        out_folder: gets the arrays.
        max_frame: T of the arrays; by default that of the longest sequence.
        num_person: M of the arrays; by default the most persons of a sequence.
        channel: C; needed for `.csv` files of several persons or more than three channels.
        strict: stop at the first file or line that cannot be used, instead of skipping it.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: a wrong skeleton or CSV file, nothing to convert, no room on the disk, or (`strict`) a file or line
            that cannot be used.
    """
    data_path, label_path, out_folder = Path(data_path), Path(label_path), Path(out_folder)
    report = Report(strict=strict)
    _check_options(max_frame=max_frame, num_person=num_person, channel=channel)
    num_point = load_skeleton(skeleton).num_point
    if not data_path.is_dir():
        raise FileNotFoundError(f"{data_path} is no folder; --data_path takes the folder of the sequences")
    labels = read_labels(label_path, report)
    files = _listed_files(data_path, label_path, labels, report)
    read = partial(read_size, num_point=num_point, channel=channel, max_frame=max_frame, num_person=num_person)
    nothing = f"{data_path}: no sequence that {label_path} lists can be used"
    sizes = dict(read_each(read, files, report, nothing=nothing, task="check"))
    drop_unusual(sizes, lambda size: plural(size.channel, "channel"), report, unit="file")
    T = max_frame or max(size.num_frame for size in sizes.values())
    M = num_person or max(size.num_person for size in sizes.values())
    row_shape = (next(iter(sizes.values())).channel, T, num_point, M)
    convert_files(
        partial(read_row, num_point=num_point, channel=row_shape[0], max_frame=T, num_person=M),
        {name: files[name] for name in sizes},
        {name: Sample(name, labels.label[name], (f"{labels.part[name]}_{JOINT}",)) for name in sizes},
        report,
        folder=out_folder,
        arrays=[f"{part}_{JOINT}" for part in PARTS],
        row_shape=row_shape,
        nothing=nothing,
        task="write",
        unit="sequence",
        texts={
            CLASSES: "".join(f"{name}\n" for name in labels.classes),
            SKELETON: Path(skeleton).read_text(encoding="utf-8"),
        },
    )
    report.notes += _notes(sizes, labels)
    report.notes.append(_model_args(out_folder, row_shape, len(labels.classes)))
    return report


def _check_options(**options: int | None) -> None:
    for option, value in options.items():
        if value is not None and value < (least := 2 if option == "channel" else 1):
            raise ValueError(f"--{option} {value} must be at least {least}")


def _model_args(out_folder: Path, row_shape: tuple[int, int, int, int], num_class: int) -> str:
    """What a configuration says of these arrays."""
    (C, _, V, M), path = row_shape, (out_folder / SKELETON).as_posix()
    return (
        f"model_args: {{num_class: {num_class}, channel: {C}, num_point: {V}, num_person: {M}, "
        f"graph: graph.custom.Graph, graph_args: {{path: {path}}}}}; {CLASSES} holds the classes' names"
    )


def _listed_files(data_path: Path, label_path: Path, labels: Labels, report: Report) -> dict[str, Path]:
    """Every file that has a label, by its name relative to the folder, in order."""
    files = {
        path.relative_to(data_path).as_posix(): path
        for path in data_path.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.resolve() != label_path.resolve()
    }
    for name in labels.label:
        if name not in files:
            near = next((f" ({name + suffix} is)" for suffix in SUFFIXES if name + suffix in files), "")
            report.skip(f"{name}: it is listed in {label_path.name} but not in {data_path}{near}")
    if unlisted := sorted(files.keys() - labels.label.keys()):
        report.notes.append(
            f"{plural(len(unlisted), 'file is', 'files are')} not listed in {label_path.name} ({unlisted[0]} ...)"
        )
    return {name: files[name] for name in sorted(files.keys() & labels.label.keys())}


def _notes(sizes: dict[str, Size], labels: Labels) -> list[str]:
    """What a user should know of the sequences."""
    notes = []
    if broken := [size.num_missing for size in sizes.values() if size.num_missing]:
        sequences, one = plural(len(broken), "sequence"), sum(broken) == 1
        rest = "has no number (NaN); it is zero" if one else "have no number (NaN); they are zero"
        notes.append(f"{plural(sum(broken), 'joint')} in {sequences} {rest}, as missing")
    for part in PARTS:
        used = {labels.label[name] for name in sizes if labels.part[name] == part}
        if absent := [name for label, name in enumerate(labels.classes) if label not in used]:
            named = ", ".join(absent[:5]) + (" ..." if len(absent) > 5 else "")
            notes.append(
                f"{part} has no sequence of {len(absent)} of {plural(len(labels.classes), 'class', 'classes')}: {named}"
            )
    return notes


main = main_of(gendata, __doc__)

if __name__ == "__main__":
    run(main)
