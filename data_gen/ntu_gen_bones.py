"""Computes bones from joint arrays: `python data_gen/ntu_gen_bones.py --data_folder FOLDER`.

For every `{train,val}_data_joint.npy` in FOLDER and its subfolders (`xsub`, `xview` ...) writes
`{part}_data_bone.npy` beside it: `bone_v = joint_v - joint_parent(v)`, zero if one of the two joints is missing. A
score is the mean of both scores, except in Kinetics-skeleton, where the published code subtracts it like a coordinate.
The bones are those of `skeleton.yaml` beside the joints (`graph.custom`), or else of the known skeleton with as many
joints. Training does not need these files: the feeder computes bones with `stream: bone`.

Source: Shi et al., *Two-Stream Adaptive Graph Convolutional Networks*, CVPR 2019, section 3.5.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from data_gen.common.command_line import main_of, run
from data_gen.common.derived import Rows, derive
from feeders import streams
from feeders.arrays import BONE, load_array, load_missing, read_chunks, skeleton_of_array
from feeders.layout import Layout
from graph import kinetics


def _bone_rows(source: Path) -> Rows:
    shape = load_array(source).shape
    try:
        skeleton = skeleton_of_array(source, shape[3])
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    score = Layout.of_array(source, published=skeleton is kinetics.SKELETON).score
    return Rows(shape, _chunks(source, skeleton.parents, score))


def _chunks(source: Path, parents: Sequence[int], score: int | None) -> Iterator[np.ndarray]:
    missing, start = load_missing(source), 0
    for joints in read_chunks(source):
        x = streams.derive(joints, "bone", parents, score=score)
        if missing is not None:
            for number, sample in enumerate(x, start):
                is_missing = missing[number]
                sample[:, is_missing | is_missing[:, parents]] = 0
        start += len(joints)
        yield x


gen_bones = partial(derive, name=BONE, rows=_bone_rows)
main = main_of(gen_bones, __doc__)

if __name__ == "__main__":
    run(main)
