"""Bones of joint arrays: `python data_gen/ntu_gen_bones.py --data_folder FOLDER`.

For every `{train,val}_data_joint.npy` in FOLDER and its subfolders (`xsub`, `xview` ...) writes
`{part}_data_bone.npy` beside it: `bone_v = joint_v - joint_parent(v)` in every channel. The bones are those of
`skeleton.yaml` beside the joints (`graph.custom`), or else of the known skeleton with as many joints.
Source: Shi et al., *Two-Stream Adaptive Graph Convolutional Networks*, CVPR 2019, section 3.5.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_gen.common.command_line import main_of, run
from data_gen.common.derived import Rows, derive
from feeders.arrays import BONE, load_array, read_chunks, skeleton_of_array
from feeders.streams import bones


def _bone_rows(source: Path) -> Rows:
    shape = load_array(source).shape
    try:
        parents = skeleton_of_array(source, shape[3]).parents
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    return Rows(shape, (bones(chunk, parents) for chunk in read_chunks(source)))


gen_bones = partial(derive, name=BONE, rows=_bone_rows)
main = main_of(gen_bones, __doc__)

if __name__ == "__main__":
    run(main)
