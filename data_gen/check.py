"""Checks prepared arrays and tells what they hold: `python -m data_gen.check FOLDER`.

Reads every `{part}_data*.npy` (N, C, T, V, M) in FOLDER and its subfolders, with the `{part}_label.pkl` beside it.
Tells of each array: samples and classes, valid frames (from the first to the last with a person), persons, the range of
every channel, and samples that are empty or hold NaN or inf. Tells which samples are equal, number for number: some
copies of NW-UCLA hold samples of val in train too. Saves a picture of a few skeletons of each array of joints,
`{part}_data_joint.png`. An array is read once, in chunks of bounded size.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from tqdm import tqdm

from data_gen.common.command_line import Parser, Report, run
from data_gen.common.pictures import draw, write_picture
from feeders.arrays import (
    JOINT,
    LABEL,
    beside,
    labels_of,
    load_array,
    present,
    read_chunks,
    skeleton_of_array,
    spans,
)
from graph.common.words import plural
from graph.custom import load_skeleton

DRAWN = (JOINT, "data.npy")  # arrays of positions; bones are not drawn
NUM_DRAWN = 5
NUM_NAMED = 5
_CHUNK_BYTES = 16 << 20


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


class Contents(NamedTuple):
    """What an array (N, C, T, V, M) holds."""

    num_frame: np.ndarray  # (N,) number of valid frames; 0 for an empty sample
    num_person: np.ndarray  # (N,) number of persons that are present in any frame
    is_finite: np.ndarray  # (N,) whether a sample holds neither NaN nor inf
    digest: list[bytes]  # N hashes of 16 bytes, of a sample's numbers up to its last valid frame
    low: np.ndarray  # (C,) lowest finite value of present persons; inf without any
    high: np.ndarray  # (C,) highest finite value of present persons; -inf without any


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
                    report.written[target] = _picture(target, listed, contents, skeleton)
                except ValueError as error:
                    report.notes.append(f"  no picture: {error}")
        report.notes += _repeated(scanned)
    return report


def _listed(path: Path) -> Listed:
    array, label_path = load_array(path), beside(path, LABEL)
    if not label_path.exists():
        raise FileNotFoundError(f"{label_path}: the labels of {path.name} are absent; make both with the same command")
    return Listed(path, path.name.partition("_data")[0], array.shape, *labels_of(array, path, label_path))


def scan(path: Path) -> Contents:
    """Read an array once, in chunks."""
    N, C, *rest = load_array(path).shape
    num_frame, num_person = np.zeros(N, np.int64), np.zeros(N, np.int64)
    is_finite, digest = np.ones(N, bool), list[bytes]()
    low, high = np.full(C, np.inf), np.full(C, -np.inf)
    size = max(1, _CHUNK_BYTES // (4 * C * int(np.prod(rest))))
    with tqdm(desc=str(path), total=N, unit="sample", disable=None) as bar:
        for x in read_chunks(path, size):  # (n, C, T, V, M)
            rows = slice(len(digest), len(digest) + len(x))
            mask = present(x)  # (n, T, M)
            begin, end = spans(mask.any(axis=2))
            num_frame[rows] = end - begin
            num_person[rows] = mask.any(axis=1).sum(axis=1)
            persons = x.transpose(0, 2, 4, 1, 3)[mask]  # (K, C, V), of all frames and samples
            finite = np.isfinite(persons)
            is_finite[rows][np.nonzero(mask)[0][~finite.all(axis=(1, 2))]] = False
            low = np.minimum(low, persons.min(axis=(0, 2), where=finite, initial=np.inf))
            high = np.maximum(high, persons.max(axis=(0, 2), where=finite, initial=-np.inf))
            for sample, T in zip(x, end, strict=True):
                digest.append(blake2b(sample[:, :T].tobytes(), digest_size=16).digest())
            bar.update(len(x))
    return Contents(num_frame, num_person, is_finite, digest, low, high)


def _lines(listed: Listed, contents: Contents) -> list[str]:
    """The lines of the report about an array."""
    classes, counts = np.unique(listed.labels, return_counts=True)
    (least, few), (most, many) = ((classes[at], counts[at]) for at in (counts.argmin(), counts.argmax()))
    absent = int(classes[-1]) + 1 - len(classes[classes >= 0])
    gap = f" ({absent} absent)" if absent else ""
    size = f"{plural(few, 'sample')} (class {least})" + (f" to {many} (class {most})" if len(classes) > 1 else "")
    lines = [f"classes  {len(classes)}, {classes[0]} to {classes[-1]}{gap}: {size}"]
    is_full = contents.num_frame > 0
    if is_full.any():
        frames = contents.num_frame[is_full]
        persons = zip(*np.unique(contents.num_person[is_full], return_counts=True), strict=True)
        ranges = zip(contents.low, contents.high, strict=True)
        lines += [
            f"frames   {frames.min()} to {frames.max()} valid, median {np.median(frames):g}",
            "persons  " + ", ".join(f"{M} in {plural(count, 'sample')}" for M, count in persons),
            "values   " + ", ".join(f"{low:.4g} to {high:.4g}" for low, high in ranges),
        ]
    for what, chosen in (("empty   ", ~is_full), ("NaN, inf", ~contents.is_finite)):
        lines.append(f"{what} {chosen.sum() or 'none'}{_named([listed.names[i] for i in np.nonzero(chosen)[0]])}")
    return lines


def _named(names: Sequence[str]) -> str:
    """A colon and the first of `names`."""
    further = f" and {len(names) - NUM_NAMED} more" if len(names) > NUM_NAMED else ""
    return f": {', '.join(names[:NUM_NAMED])}{further}" if names else ""


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


def _picture(target: Path, listed: Listed, contents: Contents, skeleton: str | Path | None) -> tuple[int, int]:
    """Draw one sample of each of `NUM_DRAWN` classes, evenly spaced; height and width in pixels.

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
    chosen = sound[first[np.linspace(0, len(first) - 1, min(NUM_DRAWN, len(first))).round().astype(int)]]
    array = load_array(listed.path)
    samples = [(f"{listed.names[i]}, class {listed.labels[i]}", np.array(array[i])) for i in chosen]
    is_score = C == 3 and contents.low[2] >= 0 and contents.high[2] <= 1
    return write_picture(target, draw(samples, known, scored=bool(is_score)))


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
