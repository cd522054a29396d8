"""Joins joints and bones in one array: `python data_gen/ntu_merge_joint_bones.py --data_folder FOLDER`.

For every `{train,val}_data_joint.npy` in FOLDER and its subfolders (`xsub`, `xview` ...) writes
`{part}_data_joint_bones.npy` beside it, (N, 2C, T, V, M): the channels of the joints, then those of
`{part}_data_bone.npy`. Training does not need these files: the feeder computes them with `stream: joint+bone`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_gen.common.command_line import main_of, run
from data_gen.common.derived import Rows, derive
from feeders.arrays import BONE, JOINT_BONES, beside, load_array, read_chunks
from feeders.streams import joined


def _merged_rows(source: Path) -> Rows:
    bone = beside(source, BONE)
    if not bone.is_file():
        raise ValueError(f"{bone} is missing: run data_gen/ntu_gen_bones.py first")
    N, C, *rest = shape = load_array(source).shape
    if load_array(bone).shape != shape:
        raise ValueError(f"{bone} belongs to other joints: run data_gen/ntu_gen_bones.py again")
    pairs = zip(read_chunks(source), read_chunks(bone), strict=True)
    return Rows((N, 2 * C, *rest), (joined(pair) for pair in pairs))


merge_joint_bones = partial(derive, name=JOINT_BONES, rows=_merged_rows)
main = main_of(merge_joint_bones, __doc__)

if __name__ == "__main__":
    run(main)
