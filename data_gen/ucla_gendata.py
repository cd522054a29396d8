"""Converts NW-UCLA: `python data_gen/ucla_gendata.py --data_path FOLDER`.

Reads the JSON form of CTR-GCN (`aXX_sXX_eXX_vXX.json`: `skeletons` [T][20][3], `label` 1..10) and writes the
cross-view split of Wang et al., *Cross-view Action Modeling*, CVPR 2014: views 1 and 2 for training, view 3 for the
test. `{out_folder}/{train,val}_data_joint.npy` (N, 3, T, 20, 1) float32 holds the coordinates as recorded. T is the
longest sequence of the data set (201 in the complete one); shorter sequences are padded with zeros. `{part}_label.pkl`
holds `(sample_names, labels)`: names such as `a01_s01_e00_v01.json`, in order, and labels from 0. In some copies of the
data set, test sequences equal training sequences, number for number: `val_unseen.txt` lists the names of the others.
All sequences of NW-UCLA together have 14 MB, so memory holds all of them.

`--split views` and `--split performers` leave view 3 out and write folds of the training views for choices, such as
that of the learning rate: `{out_folder}/{split}/fold{fold}/`, with `train` for training and `val` for validation.

- `views`: fold 1 trains on view 1 and validates on view 2; fold 2 is the reverse.
- `performers`: fold 1 validates on performers 1 and 2, fold 2 on 3 and 4, and so on to fold 5.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from data_gen.common.command_line import Report, main_of, run
from data_gen.common.convert import Sample, made_by, read_each, write_sequences
from data_gen.formats.reading import read
from feeders.arrays import JOINT, PARTS
from graph.channels import Channels
from graph.common.words import plural

UNSEEN = "val_unseen.txt"
PART_OF_VIEW = {1: "train", 2: "train", 3: "val"}
Split = Literal["cross-view", "views", "performers"]
NUM_FOLD = {"views": 2, "performers": 5}
_NAME = re.compile(r"a\d\d_s(\d\d)_e\d\d_v(\d\d)\.json", re.ASCII)


def gendata(
    data_path: str | Path = "data/nw_ucla_raw/all_sqe",
    out_folder: str | Path = "data/nw_ucla",
    *,
    split: Split = "cross-view",
    strict: bool = False,
) -> Report:
    """Convert a folder of NW-UCLA's JSON files; finished files are replaced only by complete ones.

    Args:
        data_path: folder of the JSON files.
        out_folder: folder for the arrays.
        split: cross-view, or folds of the training views for choices, in subfolders.
        strict: stop at the first file that cannot be used, instead of skipping it.

    Raises:
        FileNotFoundError: the folder is missing.
        ValueError: nothing to convert, no room on the disk, or (`strict`) a file that cannot be used.
    """
    data_path, out_folder, report = Path(data_path), Path(out_folder), Report(strict=strict)
    if not data_path.is_dir():
        raise FileNotFoundError(
            f"{data_path} is no folder: unpack NW-UCLA's all_sqe there, or name its folder with --data_path"
        )
    files = {path.name: path for path in sorted(data_path.glob("*.json"))}
    nothing = f"{data_path}: no sequence of NW-UCLA's JSON form there"
    sequences = [sequence for _, sequence in read_each(partial(_read, split), files, report, nothing=nothing)]
    folders = [f"{split}/fold{fold + 1}/" for fold in range(NUM_FOLD[split])] if split in NUM_FOLD else [""]
    texts = {f"{folder}{UNSEEN}": _unseen(folder, sequences, report) for folder in folders}
    arrays = [f"{folder}{part}_{JOINT}" for folder in folders for part in PARTS]
    about = {"texts": texts, "channels": Channels(unit="metres"), "made": made_by("ucla_gendata.py")}
    write_sequences(out_folder, arrays, sequences, report, **about)
    return report


def _read(split: Split, path: Path) -> tuple[Sample, np.ndarray, np.ndarray]:
    match = _NAME.fullmatch(path.name)
    if match is None or int(match[2]) not in PART_OF_VIEW:
        raise ValueError("no NW-UCLA name (they read a01_s01_e00_v01.json, views 1 to 3)")
    (recording,) = read(path, "nw-ucla")
    sample = Sample(path.name, int(recording.label or 0), _arrays(split, int(match[1]), int(match[2])))
    return sample, recording.joints, recording.present


def _arrays(split: Split, performer: int, view: int) -> tuple[str, ...]:
    """The arrays that a sequence goes to; those of view 3 are in no fold."""
    if split == "cross-view":
        return (f"{PART_OF_VIEW[view]}_{JOINT}",)
    if PART_OF_VIEW[view] != "train":
        return ()
    held_out = 3 - view if split == "views" else (performer + 1) // 2  # the fold that validates on it
    folds = range(1, NUM_FOLD[split] + 1)
    return tuple(f"{split}/fold{fold}/{'val' if fold == held_out else 'train'}_{JOINT}" for fold in folds)


def _unseen(folder: str, sequences: Sequence[tuple[Sample, np.ndarray, np.ndarray]], report: Report) -> str:
    """The names, one a line, of the test sequences that are no copies of training ones; the copies are reported."""
    numbers = {
        part: {s.name: x.tobytes() for s, x, _ in sequences if f"{folder}{part}_{JOINT}" in s.arrays} for part in PARTS
    }
    training = set(numbers["train"].values())
    names = [name for name, content in numbers["val"].items() if content not in training]
    if copies := len(numbers["val"]) - len(names):
        are_copies = "is a copy of a training one" if copies == 1 else "are copies of training ones"
        report.notes.append(
            f"{copies} of {plural(len(numbers['val']), 'test sequence')} {are_copies}: report accuracy on all "
            f"and on the {len(names)} that {folder}{UNSEEN} lists (python ensemble.py ... --only)"
        )
    return "".join(f"{name}\n" for name in names)


main = main_of(gendata, __doc__)

if __name__ == "__main__":
    run(main)
