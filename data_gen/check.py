"""Checks prepared arrays and describes them: `python -m data_gen.check FOLDER`.

Reads every `{part}_data*.npy` (N, C, T, V, M) in FOLDER and its subfolders, with the `{part}_label.pkl` beside it, and
prints for each array:

- samples and classes;
- valid frames (from the first to the last with a person) and recorded frames;
- persons and where they are absent, and missing joints;
- the meaning and the range of each channel;
- samples that are empty, hold NaN or inf, or have joints outside their picture;
- samples that are equal, number for number: some copies of NW-UCLA have samples of val in train, too.

For each array of joints it draws a few skeletons, as a picture and an animation, `{part}_data_joint.png` and `.gif`. An
array is read once, in chunks of bounded size.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from data_gen.common.command_line import Parser, Report, run
from data_gen.common.contents import DRAWN, Contents, scan
from feeders.arrays import (
    JOINT,
    LABEL,
    LENGTH,
    beside,
    labels_of,
    load_array,
    load_classes,
    load_lengths,
    load_prepared,
    skeleton_of_array,
)
from feeders.layout import Layout
from feeders.presence import evenly
from graph.channels import Channels
from graph.common.words import few_of, plural
from graph.custom import load_skeleton

NUM_DRAWN = 5
NUM_NAMED = 5


class Listed(NamedTuple):
    """An array of a part (`train`, `val` ...), with the names and labels of its N samples."""

    path: Path
    part: str
    shape: tuple[int, ...]
    names: tuple[str, ...]
    labels: np.ndarray

    @property
    def stream(self) -> str:
        """The array's name without its part, such as `data_joint.npy`."""
        return self.path.name.removeprefix(f"{self.part}_")


def check(folder: str | Path, *, pictures: str | Path | None = None, skeleton: str | Path | None = None) -> Report:
    """Tell what the arrays in a folder and its subfolders hold.

    Args:
        folder: the folder.
        pictures: the folder of the pictures; None saves each beside its array.
        skeleton: a YAML file as `graph.custom` reads it, whose bones are drawn; None takes `skeleton.yaml` beside the
            array, or the known skeleton with as many joints.

    Raises:
        FileNotFoundError: the folder holds no arrays, or an array has no label file.
        ValueError: a file cannot be read, or labels do not fit their array.
    """
    folder, report = Path(folder), Report()
    paths = sorted({*folder.glob("*_data*.npy"), *folder.glob("*/*_data*.npy")})
    if not paths:
        raise FileNotFoundError(f"{folder}: no arrays such as train_{JOINT} there or in its subfolders")
    groups: dict[tuple[Path, str], list[Listed]] = defaultdict(list)
    for path in paths:  # checks all files before hours are spent on the first
        if load_array(path).shape[0]:
            listed = _listed(path)
            groups[listed.path.parent, listed.stream].append(listed)
        else:
            report.notes.append(f"{path}: no samples")
    for group in groups.values():
        group.sort(key=lambda listed: listed.part != "train")
        scanned = [(listed, scan(listed.path)) for listed in group]
        for listed, contents in scanned:
            report.notes += [f"{listed.path}  {listed.shape}", *(f"  {line}" for line in _lines(listed, contents))]
            if listed.stream in DRAWN:
                target = Path(pictures or folder) / listed.path.relative_to(folder).with_suffix(".png")
                try:
                    report.written |= _pictures(target, listed, contents, skeleton)
                except ValueError as error:
                    report.notes.append(f"  no picture: {error}")
        report.notes += _repeated(scanned)
    return report


def _listed(path: Path) -> Listed:
    array, label_path = load_array(path), beside(path, LABEL)
    if not label_path.exists():
        raise FileNotFoundError(f"{label_path}: the labels of {path.name} are absent; make both with the same command")
    return Listed(path, path.name.partition("_data")[0], array.shape, *labels_of(array, path, label_path))


def _lines(listed: Listed, contents: Contents) -> list[str]:
    """The lines of the report about an array."""
    classes, counts = np.unique(listed.labels, return_counts=True)
    (least, few), (most, many) = ((classes[at], counts[at]) for at in (counts.argmin(), counts.argmax()))
    absent = int(classes[-1]) + 1 - len(classes[classes >= 0])
    gap = f" ({absent} absent)" if absent else ""
    size = f"{plural(few, 'sample')} (class {least}) to {many} (class {most})" if few < many else f"{few} samples each"
    lines = [f"classes  {len(classes)}, {classes[0]} to {classes[-1]}{gap}: {size}"]
    prepared, lengths = load_prepared(listed.path), load_lengths(listed.path)
    is_full = contents.num_frame > 0
    if prepared:
        lines.append(f"channels {_about(prepared.channels)}")
    if is_full.any():
        frames = contents.num_frame[is_full]
        recorded = (
            "" if lengths is None else f"; {_range(lengths[is_full])} recorded, median {np.median(lengths[is_full]):g}"
        )
        persons = zip(*np.unique(contents.num_person[is_full], return_counts=True), strict=True)
        names = prepared.channels.names if prepared else ("",)
        ranges = zip(cycle(names), contents.low, contents.high)
        lines += [
            f"frames   {_range(frames)} valid, median {np.median(frames):g}{recorded}",
            "persons  " + ", ".join(f"{M} in {plural(count, 'sample')}" for M, count in persons),
            "values   " + ", ".join(f"{name} {low:.4g} to {high:.4g}".lstrip() for name, low, high in ranges),
            f"absent   {_counted(contents.num_absent, 'a person in', 'frame')}",
        ]
        if prepared or contents.num_missing.any():  # published arrays do not tell
            lines.append(f"missing  {_counted(contents.num_missing, '', 'joint')}")
        if contents.num_outside.any():
            lines.append(f"outside  {_counted(contents.num_outside, '', 'joint')}, of the picture")
    chosen = [("empty   ", ~is_full), ("NaN, inf", ~contents.is_finite)]
    if not contents.does_fit.all():
        chosen.append((f"{beside(listed.path, LENGTH).name} does not fit", ~contents.does_fit))
    for what, samples in chosen:
        lines.append(f"{what} {samples.sum() or 'none'}{_named([listed.names[i] for i in np.nonzero(samples)[0]])}")
    return lines


def _about(channels: Channels) -> str:
    unit = "" if channels.unit == "unknown" else f" in {channels.unit}"
    picture = "" if channels.picture is None else " of a picture of {} x {}".format(*channels.picture)
    return ", ".join(channels.names) + unit + picture


def _range(counts: np.ndarray) -> str:
    return f"{counts.min()} to {counts.max()}"


def _counted(counts: np.ndarray, before: str, what: str) -> str:
    """How many things there are in how many samples; `counts` are those of each sample."""
    if not counts.any():
        return "none"
    return f"{before} {plural(counts.sum(), what)} of {plural(np.count_nonzero(counts), 'sample')}".lstrip()


def _named(names: Sequence[str]) -> str:
    """A colon and the first of `names`."""
    return f": {few_of(names, NUM_NAMED)}" if names else ""


def _repeated(group: Sequence[tuple[Listed, Contents]]) -> list[str]:
    """A line for each two parts (or one part) that share samples, empty samples left out."""
    seen: dict[bytes, tuple[str, str]] = {}
    pairs: dict[tuple[str, str], list[str]] = defaultdict(list)
    for listed, contents in group:
        for index in np.nonzero(contents.num_frame)[0]:
            this = listed.part, listed.names[index]
            first = seen.setdefault(contents.digest[index], this)
            if first != this:
                pairs[listed.part, first[0]].append(f"{this[1]} = {first[1]}")
    size = {listed.part: len(listed.names) for listed, _ in group}
    place = group[0][0].path.with_name(f"*_{group[0][0].stream}")
    return [
        f"{place}: {len(equal)} of {plural(size[part], 'sample')} of {part} {'is' if len(equal) == 1 else 'are'} "
        f"{'there before' if part == before else f'in {before} too'}, number for number{_named(equal)}"
        for (part, before), equal in pairs.items()
    ] or [f"{place}: no two samples are the same"]


def _pictures(
    target: Path, listed: Listed, contents: Contents, skeleton: str | Path | None
) -> dict[Path, tuple[int, ...]]:
    """Draw one sample of each of `NUM_DRAWN` classes, evenly spaced, as a picture and as an animation beside it.

    Returns:
        The files with their height and width in pixels, before which the animation has the number of its pictures.

    Raises:
        ValueError: the skeleton is unknown or has another number of joints, or no sample can be drawn.
    """
    _, C, _, V, _ = listed.shape
    known = load_skeleton(skeleton) if skeleton else skeleton_of_array(listed.path, V)
    if known.num_point != V:
        raise ValueError(f"{skeleton} has {plural(known.num_point, 'joint')}, {listed.path} {V}")
    sound = np.nonzero((contents.num_frame > 0) & contents.is_finite)[0]
    if C < 2 or not len(sound):
        raise ValueError("no sample has positions to draw")
    _, first = np.unique(listed.labels[sound], return_index=True)
    chosen = sound[first[evenly(len(first), NUM_DRAWN)]]
    array = load_array(listed.path)
    classes = load_classes(listed.path) or ()
    said = [classes[k] if 0 <= k < len(classes) else f"class {k}" for k in listed.labels[chosen]]
    lengths = load_lengths(listed.path)
    ends = [None if lengths is None or not contents.does_fit[i] else lengths[i] for i in chosen]  # before repetitions
    samples = [
        (f"{name}: {listed.names[i]}", np.array(array[i, :, :end]))
        for name, i, end in zip(said, chosen, ends, strict=True)
    ]
    prepared, layout = load_prepared(listed.path), Layout.of_array(listed.path)
    is_score = C == 3 and contents.low[2] >= 0 and contents.high[2] <= 1  # as far as numbers can tell
    from data_gen.common.pictures import animate, draw, write_picture  # matplotlib takes a second

    how = {"scored": layout.is_scored or bool(not prepared and is_score), "down": layout.is_down}
    moving, rate = target.with_suffix(".gif"), (prepared and prepared.frame_rate) or 30.0
    return {
        target: write_picture(target, draw(samples, known, **how)),
        moving: animate(moving, samples, known, rate=rate, **how),
    }


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and check the folder."""
    parser = Parser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the arrays")
    parser.option("pictures", type=Path, help="folder of the pictures (default: beside the arrays)")
    parser.option(
        "skeleton", type=Path, help="YAML file that describes the skeleton that is drawn (default: by the joints)"
    )
    return check(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    run(main)
