"""Joints and bones in one array: `python data_gen/ntu_merge_joint_bones.py --data_folder FOLDER`.

For every `{train,val}_data_joint.npy` in FOLDER and its subfolders (`xsub`, `xview` ...) writes
`{part}_data_joint_bones.npy` beside it, (N, 2C, T, V, M): the channels of the joints, then those of
`{part}_data_bone.npy`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_gen.common.command_line import Report, run
from data_gen.common.derived import BONE, JOINT_BONES, Rows, beside, derive, derive_parser
from data_gen.common.storage import open_array, read_chunks
from graph.streams import joined


def merge_joint_bones(data_folder: str | Path, *, strict: bool = False) -> Report:
    """Write joints and bones together for every joint array in `data_folder`; errors as `derived.derive`."""
    return derive(Path(data_folder), JOINT_BONES, _merged_rows, strict=strict)


def _merged_rows(source: Path) -> Rows:
    bone = beside(source, BONE)
    if not bone.is_file():
        raise ValueError(f"{bone} is missing: run data_gen/ntu_gen_bones.py first")
    n, c, *rest = shape = open_array(source).shape
    if open_array(bone).shape != shape:
        raise ValueError(f"{bone} belongs to other joints: run data_gen/ntu_gen_bones.py again")
    pairs = zip(read_chunks(source), read_chunks(bone), strict=True)
    return Rows((n, 2 * c, *rest), (joined(pair) for pair in pairs))


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and merge."""
    return merge_joint_bones(**vars(derive_parser(__doc__).parse_args(argv)))


if __name__ == "__main__":
    run(main)
