"""Kinetics-skeleton to arrays: `python data_gen/kinetics_gendata.py --data_path FOLDER --out_folder FOLDER`.

Reads the release of ST-GCN (Yan et al., *Spatial Temporal Graph Convolutional Networks*, AAAI 2018) from FOLDER:
`kinetics_{train,val}` with a JSON file a clip, and `kinetics_{train,val}_label.json`. Writes for each part
`{out_folder}/{part}_data_joint.npy` (N, 3, 300, 18, 2) float32 and `{part}_label.pkl`, a pickle of (sample_names,
labels) ordered by name: names such as `ID.json`, labels 0-based. Axis legend: N clips, C channels, T frames, V joints,
M persons.

- C = x - 0.5, 0.5 - y (up is positive) and score; a joint whose score is 0 is zero.
- `frame_index` is the row T as it stands: files count from 1, so row 0 stays empty, and from 300 on frames are cut.
- Of the first five persons of a frame the two of the largest total score are kept, the larger first.

Clips that are listed without a skeleton are left out. Skipped and reported are clips that are listed but absent, or
there but not listed, broken ones, and those without a body. Memory holds a few clips at a time; the training clips,
240,436, take 31 GB of disk. `data_gen/ntu_gen_bones.py --data_folder` makes the bones of these arrays, too.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from tqdm import tqdm

from data_gen.common.command_line import Parser, Report, default_workers, run
from data_gen.common.derived import JOINT, beside, outdated
from data_gen.common.parallel import ordered_map
from data_gen.common.storage import PARTS, Staging, require_space
from data_gen.formats.kinetics_json import NUM_FRAME, Clip, read_clip, read_labels
from graph.common.words import plural
from graph.kinetics import SKELETON

NUM_PERSON = 2
ROW_SHAPE = (3, NUM_FRAME, SKELETON.num_point, NUM_PERSON)
_BYTES = 4 * math.prod(ROW_SHAPE)  # of a sample
_NUM_NAMED = 10  # of thousands of absent clips as many are named


class Converted(NamedTuple):
    """What became of a clip: its `sample` (C, T, V, M) float32, or the problem; and whether frames were cut."""

    sample: np.ndarray | None
    problem: str = ""
    is_cut: bool = False


def to_sample(clip: Clip) -> np.ndarray:
    """The two best bodies of each frame, (C, T, V, M) float32."""
    # added one after the other, as in the published code: of equal bodies rounding may decide which is first
    total = np.cumsum(clip.score, axis=1)[:, -1]
    order = np.lexsort((-total, clip.frame))  # stable
    frame = clip.frame[order]
    rank = np.arange(len(frame)) - np.searchsorted(frame, frame)
    kept = rank < NUM_PERSON
    best, frame, rank = order[kept], frame[kept], rank[kept]
    score = clip.score[best]
    channels = np.stack([clip.pose[best, :, 0] - 0.5, 0.5 - clip.pose[best, :, 1], score], axis=1)  # (K, C, V)
    sample = np.zeros(ROW_SHAPE, np.float32)
    sample[:, frame, :, rank] = channels * (score != 0)[:, None]
    return sample


def convert_clip(listed: tuple[Path, int]) -> Converted:
    """Convert a clip; listed are its path and the class that it has in the label file."""
    path, label = listed
    try:
        clip = read_clip(path)
    except OSError as error:
        return Converted(None, f"{path.name}: cannot be read ({error.strerror})")
    except ValueError as error:
        return Converted(None, f"{path.name}: {error}; unpack it again")
    if clip.label != label:
        return Converted(None, f"{path.name}: its label_index is {clip.label}, in the label file it is {label}")
    sample = to_sample(clip)
    if not sample.any():
        return Converted(None, f"{path.name}: no body in any of the first {NUM_FRAME} frames")
    return Converted(sample, "", clip.is_cut)


def gendata(data_path: str | Path, out_folder: str | Path, *, strict: bool = False, num_worker: int = 1) -> Report:
    """Convert the parts that a folder holds; finished files are replaced only by complete ones.

    Args:
        data_path: folder of `kinetics_train` and `kinetics_val`, or of one of them, with their label files.
        out_folder: where the arrays go.
        strict: stop at the first clip that cannot be used, instead of skipping it.
        num_worker: processes that read clips.

    Raises:
        FileNotFoundError: neither part is there, or a part's label file is missing.
        ValueError: a label file that is none, a part without any usable clip, no space, or (`strict`) a clip that
            cannot be used.
    """
    data_path, out_folder, report = Path(data_path), Path(out_folder), Report()
    parts: dict[str, list[tuple[Path, int]]] = {}
    for part in PARTS:
        if (folder := data_path / f"kinetics_{part}").is_dir():
            parts[part] = _present_clips(folder, report, strict=strict)
        else:
            report.notes.append(f"{folder} is no folder: there is no {part} part")
    if not parts:
        raise FileNotFoundError(
            f"{data_path}: kinetics_train and kinetics_val are not there; unpack Kinetics-skeleton, "
            "or name the folder that holds them with --data_path"
        )
    out_folder.mkdir(parents=True, exist_ok=True)
    require_space(out_folder, _BYTES * sum(map(len, parts.values())))
    for part, clips in parts.items():
        _write(out_folder / f"{part}_{JOINT}", clips, report, strict=strict, num_worker=num_worker)
    return report


def _present_clips(folder: Path, report: Report, *, strict: bool) -> list[tuple[Path, int]]:
    """Path and class of the clips of a part that can be converted, ordered by name."""
    listing = folder.with_name(f"{folder.name}_label.json")
    listed = read_labels(listing)
    labels = {name: label for name, label in listed.items() if label is not None}
    there = {path.name for path in folder.iterdir() if path.suffix == ".json"}
    if not labels.keys() & there:
        raise ValueError(
            f"{folder}: none of the {plural(len(labels), 'clip')} that {listing.name} lists; unpack them there"
        )
    if labels.keys() - there:
        report.skip(f"{folder.name}: clips listed but absent: {_named(labels.keys() - there)}", strict=strict)
    if there - listed.keys():
        report.skip(f"{folder.name}: clips not in {listing.name}: {_named(there - listed.keys())}", strict=strict)
    if len(labels) < len(listed):
        report.notes.append(f"{listing.name}: clips without a skeleton, left out: {len(listed) - len(labels)}")
    return [(folder / name, labels[name]) for name in sorted(labels.keys() & there)]


def _named(names: set[str]) -> str:
    """How many names, and the first of them; with escapes, for they may hold anything."""
    first = ", ".join(map(ascii, sorted(names)[:_NUM_NAMED]))
    return f"{len(names)} ({first}{', ...' if len(names) > _NUM_NAMED else ''})"


def _write(target: Path, clips: list[tuple[Path, int]], report: Report, *, strict: bool, num_worker: int) -> None:
    names: list[str] = []
    labels: list[int] = []
    num_cut = 0
    with Staging() as staging:
        writer = staging.array(target, len(clips), ROW_SHAPE)
        staging.labels(beside(target, "label.pkl"), names, labels)
        results = ordered_map(convert_clip, clips, num_worker=num_worker)
        about = f"{target} ({len(clips) * _BYTES / 1e9:.1f} GB)"
        with closing(results), tqdm(clips, desc=about, unit="clip", disable=None) as bar:
            for (path, label), (sample, problem, is_cut) in zip(bar, results, strict=True):
                if sample is None:
                    report.skip(problem, strict=strict)
                    continue
                writer.append(sample)
                names.append(path.name)
                labels.append(label)
                num_cut += is_cut
        if not names:
            raise ValueError(f"{clips[0][0].parent}: no clip can be used; the last problem: {report.skipped[-1]}")
    report.written[target] = writer.shape
    if num_cut:
        report.notes.append(f"{target.name}: clips with frames beyond {NUM_FRAME - 1}, which are cut: {num_cut}")
    report.notes += outdated(target)


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and convert."""
    parser = Parser(description=__doc__)
    parser.option("data_path", default="data/kinetics_raw", help="folder of kinetics_train and kinetics_val")
    parser.option("out_folder", default="data/kinetics", help="where the arrays go")
    parser.option("num_worker", type=int, default=default_workers(), help="processes that read clips")
    parser.strict()
    return gendata(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    run(main)
