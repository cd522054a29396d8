"""Converts SBU Kinect Interaction: `python data_gen/sbu_gendata.py --data_path FOLDER`.

Reads `sAAsBB/CC/NNN/skeleton_pos.txt` (Yun et al., CVPR Workshops 2012): persons AA and BB, class CC 01 to 08,
repetition NNN. A line is a frame: its number, then 15 joints (x, y, z) of the one person and of the other, separated by
commas. x and y are fractions of the picture, z is a depth.

Writes `{out_folder}/fold{1..5}/{train,val}_data_joint.npy` (N, 3, T, 15, 2) float32, for the authors' folds. The
coordinates are metres, converted as on the page of the data set: X = 1.28 - 2.56 x (to the left of the picture),
Y = 0.96 - 1.92 y (upwards), Z = 1.28 z (away from the camera). T is the longest sequence of the data set (46 in the
complete one); shorter sequences are padded with zeros. `{part}_label.pkl` holds `(sample_names, labels)`: names such as
`s01s02_01_001`, in order, and labels from 0. All arrays together have 20 MB, so memory holds all sequences.

`--split inner` writes folds for choices, such as that of the learning rate: `{out_folder}/inner/fold{1..5}/`. Fold k
leaves out the test data of the authors' fold k. Of the other four folds, the one after k (after 5: the first) is for
validation (`val`), and three are for training.
"""

from __future__ import annotations

import re
import sys
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

TEST_PAIRS = (  # of each fold
    ("s01s02", "s03s04", "s05s02", "s06s04"),
    ("s02s03", "s02s07", "s03s05", "s05s03"),
    ("s01s03", "s01s07", "s07s01", "s07s03"),
    ("s02s01", "s02s06", "s03s02", "s03s06"),
    ("s04s02", "s04s03", "s04s06", "s06s02", "s06s03"),
)
Split = Literal["folds", "inner"]
_NAME = re.compile(r"(s\d\ds\d\d)_(0[1-8])_\d\d\d", re.ASCII)


def gendata(
    data_path: str | Path = "data/sbu_raw",
    out_folder: str | Path = "data/sbu",
    *,
    split: Split = "folds",
    strict: bool = False,
) -> Report:
    """Convert the folders of SBU's sequences; finished files are replaced only by complete ones.

    Args:
        data_path: folder of s01s02, s01s03 ...
        out_folder: folder for the arrays, with a subfolder for each fold.
        split: the authors' folds, or inner folds of their training parts for choices, in the subfolder inner.
        strict: stop at the first file that cannot be used, instead of skipping it.

    Raises:
        FileNotFoundError: the folder is missing.
        ValueError: nothing to convert, no room on the disk, or (`strict`) a file that cannot be used.
    """
    data_path, out_folder, report = Path(data_path), Path(out_folder), Report(strict=strict)
    if not data_path.is_dir():
        raise FileNotFoundError(
            f"{data_path} is no folder: unpack SBU's s01s02.zip and its like there, or name theirs with --data_path"
        )
    files = {str(path.relative_to(data_path)): path for path in sorted(data_path.glob("*/*/*/skeleton_pos.txt"))}
    nothing = f"{data_path}: no sequence of SBU (s01s02/01/001/skeleton_pos.txt) there"
    sequences = [sequence for _, sequence in read_each(partial(_read, split), files, report, nothing=nothing)]
    arrays = [_array(split, fold, part) for fold in range(len(TEST_PAIRS)) for part in PARTS]
    about = {"channels": Channels(unit="metres"), "made": made_by("sbu_gendata.py")}
    write_sequences(out_folder, arrays, sequences, report, **about)
    return report


def _read(split: Split, path: Path) -> tuple[Sample, np.ndarray, np.ndarray]:
    name = "_".join(path.parts[-4:-1])
    match = _NAME.fullmatch(name)
    tested = [fold for fold, pairs in enumerate(TEST_PAIRS) if match and match[1] in pairs]
    if match is None or not tested:
        raise ValueError("no folder of SBU (they read s01s02/01/001, 21 pairs, classes 01 to 08)")
    (recording,) = read(path, "sbu")
    return Sample(name, int(match[2]) - 1, _arrays(split, tested[0])), recording.joints, recording.present


def _arrays(split: Split, tested: int) -> tuple[str, ...]:
    """The arrays that a sequence goes to, which the authors' fold `tested` tests."""
    folds = range(len(TEST_PAIRS))
    if split == "folds":
        return tuple(_array(split, fold, "val" if fold == tested else "train") for fold in folds)
    validates = (tested - 1) % len(TEST_PAIRS)
    return tuple(_array(split, fold, "val" if fold == validates else "train") for fold in folds if fold != tested)


def _array(split: Split, fold: int, part: str) -> str:
    return f"{'inner/' if split == 'inner' else ''}fold{fold + 1}/{part}_{JOINT}"


main = main_of(gendata, __doc__)

if __name__ == "__main__":
    run(main)
