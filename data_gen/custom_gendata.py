"""A user's own sequences to arrays: `python data_gen/custom_gendata.py --data_path FOLDER --label_path FILE ...`.

FOLDER and its subfolders hold one `.npy`, `.csv` or `.json` file for each sequence; `data_gen/formats/custom.py` says
what is in them and in the CSV file of labels and splits, `graph/custom.py` how a skeleton is described. Writes, in the
order of the files' names, which keep their suffix:
- `{out_folder}/{train,val}_data_joint.npy` (N, C, T, V, M) float32, the coordinates as recorded: T is the longest
  sequence of both parts or `--max_frame`, M the most persons or `--num_person`; after its end a sequence is zero;
- `{part}_label.pkl`, a pickle of `(names, labels)`, and `classes.txt`, the classes' names in their order, one a line;
- `skeleton.yaml`, a copy of the skeleton, which tells the bones to whatever reads the arrays.

A joint of which a coordinate is NaN (or empty, or null) is missing: all its channels become zero in that frame, as in
Kinetics-skeleton, and the report counts them. A sequence without any joint is skipped. Every file is read twice, for
its size and for its numbers, so that memory holds one at a time.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from tqdm import tqdm

from data_gen.common.command_line import Parser, Report, first_kept, run
from data_gen.common.derived import JOINT, outdated
from data_gen.common.storage import PARTS, Staging, require_space
from data_gen.formats.custom import SUFFIXES, Labels, read_labels, read_sequence
from graph.common.words import plural
from graph.custom import BESIDE_DATA, load_skeleton

CLASSES = "classes.txt"


class Limits(NamedTuple):
    """T and M of the arrays, and C of the files; None is as the data have it."""

    max_frame: int | None = None
    num_person: int | None = None
    channel: int | None = None


class Size(NamedTuple):
    """What a file holds: T frames of M persons in C channels, and how many joints of those kept are missing."""

    num_frame: int
    num_person: int
    channel: int
    num_missing: int


def kept(joints: np.ndarray, limits: Limits) -> tuple[np.ndarray, int]:
    """The frames and persons of a sequence (T, M, V, C) that are kept, missing joints zero; and how many these are.

    Raises:
        ValueError: there is no joint left.
    """
    joints = joints[: limits.max_frame, : limits.num_person]
    missing = np.isnan(joints).any(axis=3)
    joints = np.where(missing[..., None], 0, joints).astype(np.float32)
    if not joints.any():
        raise ValueError("no body in any frame")
    return joints, int(missing.sum())


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
        data_path: the folder.
        label_path: the CSV file of labels and splits.
        skeleton: the YAML file that describes it.
        out_folder: gets the arrays.
        max_frame: T of the arrays; None is the longest sequence.
        num_person: M of the arrays; None is the most persons of a sequence.
        channel: C; needed for `.csv` files of several persons or more than three channels.
        strict: stop at the first file or line that cannot be used, instead of skipping it.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: a wrong skeleton or CSV file, nothing to convert, no space, or (`strict`) a file or line that cannot
            be used.
    """
    data_path, label_path, out_folder, report = Path(data_path), Path(label_path), Path(out_folder), Report()
    limits = Limits(max_frame, num_person, channel)
    for option, least in (("max_frame", 1), ("num_person", 1), ("channel", 2)):
        if (value := getattr(limits, option)) is not None and value < least:
            raise ValueError(f"--{option} {value} must be at least {least}")
    num_point = load_skeleton(skeleton).num_point
    if not data_path.is_dir():
        raise FileNotFoundError(f"{data_path} is no folder; --data_path takes the folder of the sequences")
    labels = read_labels(label_path, report, strict=strict)
    files = _listed_files(data_path, label_path, labels, report, strict=strict)
    sizes = _sizes(files, num_point, limits, report, strict=strict)
    if not sizes:
        first = f"; the first problem is {report.skipped[0]}" if report.skipped else ""
        raise ValueError(f"{data_path}: no sequence that {label_path} lists can be used{first}")
    row_shape = _row_shape(sizes, num_point, limits)
    _write(out_folder, row_shape, {name: files[name] for name in sizes}, labels, limits, Path(skeleton), report)
    report.notes += _notes(sizes, row_shape, labels)
    (C, _, V, M), path = row_shape, (out_folder / BESIDE_DATA).as_posix()
    report.notes.append(
        f"model_args: {{num_class: {len(labels.classes)}, channel: {C}, num_point: {V}, num_person: {M}, "
        f"graph: graph.custom.Graph, graph_args: {{path: {path}}}}}; {CLASSES} holds the classes' names"
    )
    return report


def _listed_files(
    data_path: Path, label_path: Path, labels: Labels, report: Report, *, strict: bool
) -> dict[str, Path]:
    """By its name within the folder, in order: every file that has a label."""
    found = {
        path.relative_to(data_path).as_posix(): path
        for path in data_path.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.resolve() != label_path.resolve()
    }
    for name in labels.label:
        if name not in found:
            near = next((f" ({name + suffix} is)" for suffix in SUFFIXES if name + suffix in found), "")
            report.skip(f"{name}: it is listed in {label_path.name} but not in {data_path}{near}", strict=strict)
    if unlisted := sorted(found.keys() - labels.label.keys()):
        report.notes.append(
            f"{plural(len(unlisted), 'file is', 'files are')} not listed in {label_path.name} ({unlisted[0]} ...)"
        )
    return {name: found[name] for name in sorted(found.keys() & labels.label.keys())}


def _sizes(files: dict[str, Path], num_point: int, limits: Limits, report: Report, *, strict: bool) -> dict[str, Size]:
    """By its name: the size of every file that makes a sample."""
    sizes: dict[str, Size] = {}
    for name, path in tqdm(files.items(), desc="check", unit="file", disable=None):
        try:
            joints = read_sequence(path, num_point, channel=limits.channel)
            T, M, _, C = joints.shape
            sizes[name] = Size(T, M, C, kept(joints, limits)[1])
        except OSError as error:
            report.skip(f"{name}: cannot be read ({error.strerror})", strict=strict)
        except ValueError as error:
            report.skip(f"{name}: {error}", strict=strict)
    channels = Counter(size.channel for size in sizes.values())
    for name, size in list(sizes.items()):
        if size.channel != (usual := channels.most_common(1)[0][0]):
            report.skip(f"{name}: {plural(size.channel, 'channel')}, where most files have {usual}", strict=strict)
            del sizes[name]
    return sizes


def _row_shape(sizes: dict[str, Size], num_point: int, limits: Limits) -> tuple[int, int, int, int]:
    """(C, T, V, M) of the arrays."""
    T = limits.max_frame or max(size.num_frame for size in sizes.values())
    M = limits.num_person or max(size.num_person for size in sizes.values())
    return next(iter(sizes.values())).channel, T, num_point, M


def _write(
    out_folder: Path,
    row_shape: tuple[int, int, int, int],
    files: dict[str, Path],
    labels: Labels,
    limits: Limits,
    skeleton: Path,
    report: Report,
) -> None:
    out_folder.mkdir(parents=True, exist_ok=True)
    require_space(out_folder, 4 * int(np.prod(row_shape)) * len(files))
    with Staging() as staging, tqdm(total=len(files), desc="write", unit="file", disable=None) as bar:
        for part in PARTS:
            names = [name for name in files if labels.part[name] == part]
            target = out_folder / f"{part}_{JOINT}"
            writer = staging.array(target, len(names), row_shape)
            for name in names:
                joints, _ = kept(read_sequence(files[name], row_shape[2], channel=limits.channel), limits)
                row = np.zeros(row_shape, np.float32)
                row[:, : joints.shape[0], :, : joints.shape[1]] = joints.transpose(3, 0, 2, 1)
                writer.append(row)
                bar.update()
            staging.labels(out_folder / f"{part}_label.pkl", names, [labels.label[name] for name in names])
            report.written[target] = writer.shape
            report.notes += outdated(target)
        staging.text(out_folder / CLASSES, "".join(f"{name}\n" for name in labels.classes))
        staging.text(out_folder / BESIDE_DATA, skeleton.read_text(encoding="utf-8"))


def _notes(sizes: dict[str, Size], row_shape: tuple[int, int, int, int], labels: Labels) -> list[str]:
    """What a user should know of the outcome."""
    _, T, _, M = row_shape
    notes = []
    for axis, (what, limit) in enumerate((("frame", T), ("person", M))):
        if count := sum(size[axis] > limit for size in sizes.values()):
            sequences_have = plural(count, "sequence has", "sequences have")
            notes.append(f"{sequences_have} more than {plural(limit, what)}; {first_kept(limit)}")
    if broken := [size.num_missing for size in sizes.values() if size.num_missing]:
        sequences, one = plural(len(broken), "sequence"), sum(broken) == 1
        rest = "has no number (NaN); it is zero" if one else "have no number (NaN); they are zero"
        notes.append(f"{plural(sum(broken), 'joint')} in {sequences} {rest}, as missing")
    for part in PARTS:
        there = {labels.label[name] for name in sizes if labels.part[name] == part}
        if absent := [name for label, name in enumerate(labels.classes) if label not in there]:
            named = ", ".join(absent[:5]) + (" ..." if len(absent) > 5 else "")
            notes.append(
                f"{part} has no sequence of {len(absent)} of {plural(len(labels.classes), 'class', 'classes')}: {named}"
            )
    return notes


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and convert."""
    parser = Parser(description=__doc__)
    parser.option("data_path", required=True, help="folder of the sequences")
    parser.option("label_path", required=True, help="CSV file with the columns file, label and split")
    parser.option("skeleton", required=True, help="YAML file that describes the skeleton")
    parser.option("out_folder", required=True, help="where the arrays go")
    parser.option("max_frame", type=int, help="T of the arrays (default: the longest sequence)")
    parser.option("num_person", type=int, help="M of the arrays (default: the most persons)")
    parser.option("channel", type=int, help="C, for .csv files of several persons or more than three channels")
    parser.strict()
    return gendata(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    run(main)
