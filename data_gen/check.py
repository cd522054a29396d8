"""What a folder of prepared arrays holds: `python -m data_gen.check FOLDER`.

Reads every `{part}_data*.npy` (N, C, T, V, M) in FOLDER and its subfolders, with the `{part}_label.pkl` beside it, and
tells of each: samples and classes, valid frames (from the first to the last that holds a skeleton), persons, the range
of every channel, samples that are empty or hold NaN or inf; and which samples are the same, number for number, above
all those of val that are in train too, as in some copies of NW-UCLA. Saves a picture of a few skeletons of each array
of joints, `{part}_data_joint.png`. An array is read once, in pieces of bounded size.
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
from data_gen.common.derived import JOINT
from data_gen.common.pictures import draw, write_picture
from data_gen.common.storage import open_array, read_chunks
from feeders.labels import load_labels
from graph.common.words import plural
from graph.custom import load_skeleton, skeleton_of_array

DRAWN = (JOINT, "data.npy")  # positions; bones are none
NUM_DRAWN = 5
NUM_NAMED = 5
_CHUNK_BYTES = 16 << 20


class Listed(NamedTuple):
    """An array of a part (`train`, `val` ...), and what its label file says: `names` and `labels` of its N samples."""

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
    """What the numbers of an array (N, C, T, V, M) are.

    Attributes:
        num_frame: (N,) valid frames; 0 for an empty sample.
        num_person: (N,) how many persons are there in any frame.
        is_finite: (N,) whether there is no NaN and no inf.
        digest: N of 16 bytes, of a sample's numbers up to its last valid frame.
        low, high: (C,) of the finite values of persons that are there; inf and -inf where there are none.
    """

    num_frame: np.ndarray
    num_person: np.ndarray
    is_finite: np.ndarray
    digest: list[bytes]
    low: np.ndarray
    high: np.ndarray


def check(folder: str | Path, *, pictures: str | Path | None = None, skeleton: str | Path | None = None) -> Report:
    """Tell what the arrays in a folder and its subfolders hold.

    Args:
        folder: the folder.
        pictures: gets the pictures; None puts each beside its array.
        skeleton: a YAML file as `graph.custom` reads it, whose bones are drawn; None takes `skeleton.yaml` beside the
            array, or the known skeleton of so many joints.

    Raises:
        FileNotFoundError: there are no arrays, or no labels to one.
        ValueError: a file that cannot be read, or labels that do not fit their array.
    """
    folder, report = Path(folder), Report()
    paths = sorted({*folder.glob("*_data*.npy"), *folder.glob("*/*_data*.npy")})
    if not paths:
        raise FileNotFoundError(f"{folder}: no arrays such as train_{JOINT} there or in its subfolders")
    groups: dict[tuple[Path, str], list[Listed]] = defaultdict(list)
    for path in paths:  # all, before hours are spent on the first
        if open_array(path).shape[0]:
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
    shape, (part, *_) = open_array(path).shape, path.name.split("_data")
    if 0 in shape:
        raise ValueError(f"{path}: an array of shape {shape} holds nothing; make it again")
    label_path = path.with_name(f"{part}_label.pkl")
    if not label_path.exists():
        raise FileNotFoundError(f"{label_path}: the labels of {path.name} are absent; make both with the same command")
    names, labels = load_labels(label_path)
    if shape[0] != len(labels):
        raise ValueError(
            f"{path} holds {plural(shape[0], 'sample')}, {label_path.name} {plural(len(labels), 'label')}; "
            "make both again with the same command"
        )
    return Listed(path, part, shape, names, labels)


def scan(path: Path) -> Contents:
    """Read an array once."""
    N, C, *rest = open_array(path).shape
    num_frame, num_person = np.zeros(N, np.int64), np.zeros(N, np.int64)
    is_finite, digest = np.ones(N, bool), list[bytes]()
    low, high = np.full(C, np.inf), np.full(C, -np.inf)
    size = max(1, _CHUNK_BYTES // (4 * C * int(np.prod(rest))))
    with tqdm(desc=str(path), total=N, unit="sample", disable=None) as bar:
        for x in read_chunks(path, size):  # (n, C, T, V, M)
            rows = slice(len(digest), len(digest) + len(x))
            present = (x != 0).any(axis=(1, 3))  # (n, T, M)
            begin, end = _spans(present.any(axis=2))
            num_frame[rows] = end - begin
            num_person[rows] = present.any(axis=1).sum(axis=1)
            there = x.transpose(0, 2, 4, 1, 3)[present]  # (bodies, C, V): what is absent is zero, and no value
            finite = np.isfinite(there)
            is_finite[rows][np.nonzero(present)[0][~finite.all(axis=(1, 2))]] = False
            low = np.minimum(low, there.min(axis=(0, 2), where=finite, initial=np.inf))
            high = np.maximum(high, there.max(axis=(0, 2), where=finite, initial=-np.inf))
            for sample, T in zip(x, end, strict=True):
                digest.append(blake2b(sample[:, :T].tobytes(), digest_size=16).digest())
            bar.update(len(x))
    return Contents(num_frame, num_person, is_finite, digest, low, high)


def _spans(is_valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, T) -> (n,), (n,): the first true frame and the one after the last; the same where there is none."""
    begin = is_valid.argmax(axis=1)
    end = is_valid.shape[1] - is_valid[:, ::-1].argmax(axis=1)
    return begin, np.where(is_valid.any(axis=1), end, begin)


def _lines(listed: Listed, contents: Contents) -> list[str]:
    """What is to be told of an array, a line each."""
    classes, counts = np.unique(listed.labels, return_counts=True)
    (least, few), (most, many) = ((classes[at], counts[at]) for at in (counts.argmin(), counts.argmax()))
    absent = int(classes[-1]) + 1 - len(classes[classes >= 0])
    gap = f" ({absent} absent)" if absent else ""
    size = f"{plural(few, 'sample')} (class {least})" + (f" to {many} (class {most})" if len(classes) > 1 else "")
    lines = [f"classes  {len(classes)}, {classes[0]} to {classes[-1]}{gap}: {size}"]
    there = contents.num_frame > 0
    if there.any():
        frames = contents.num_frame[there]
        persons = zip(*np.unique(contents.num_person[there], return_counts=True), strict=True)
        ranges = zip(contents.low, contents.high, strict=True)
        lines += [
            f"frames   {frames.min()} to {frames.max()} valid, median {np.median(frames):g}",
            "persons  " + ", ".join(f"{M} in {plural(count, 'sample')}" for M, count in persons),
            "values   " + ", ".join(f"{low:.4g} to {high:.4g}" for low, high in ranges),
        ]
    for what, chosen in (("empty   ", ~there), ("NaN, inf", ~contents.is_finite)):
        lines.append(f"{what} {chosen.sum() or 'none'}{_named([listed.names[i] for i in np.nonzero(chosen)[0]])}")
    return lines


def _named(names: Sequence[str]) -> str:
    """The first of `names`, after a colon."""
    further = f" and {len(names) - NUM_NAMED} more" if len(names) > NUM_NAMED else ""
    return f": {', '.join(names[:NUM_NAMED])}{further}" if names else ""


def _repeated(group: Sequence[tuple[Listed, Contents]]) -> list[str]:
    """A line for each two parts (or a part and itself) that have samples in common, empty ones apart."""
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
    """Draw a sample of each of some classes, evenly spaced in number; height and width in pixels.

    Raises:
        ValueError: the skeleton is unknown or has another number of joints, or there is nothing to draw.
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
    array = open_array(listed.path)
    samples = [(f"{listed.names[i]}, class {listed.labels[i]}", np.array(array[i])) for i in chosen]
    is_score = C == 3 and contents.low[2] >= 0 and contents.high[2] <= 1
    return write_picture(target, draw(samples, known, scored=bool(is_score)))


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and check."""
    parser = Parser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the arrays")
    parser.option("pictures", type=Path, help="where the pictures go (default: beside the arrays)")
    parser.option(
        "skeleton", type=Path, help="YAML file that describes the skeleton that is drawn (default: by the joints)"
    )
    return check(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    run(main)
