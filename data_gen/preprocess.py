"""NTU RGB+D raw files to preprocessed joints: `python data_gen/preprocess.py --data_path FOLDER`.

Writes `{out_folder}/{xsub,xview}/{train,val}_data_joint.npy` and `_label.pkl` (see `data_gen.ntu.convert`):
of the first four bodies the two that move most, filled up to 300 frames, centred and rotated (see
`data_gen.ntu.steps`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_gen.common.command_line import Report, run
from data_gen.ntu.convert import convert, convert_arguments
from data_gen.ntu.splits import NTU60
from data_gen.ntu.steps import preprocessed

preprocess = partial(convert, steps=preprocessed, suffix="data_joint")
"""`preprocess(data_path, out_folder, *, dataset, ignored_sample_path, strict, num_worker)`, see `convert`."""


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and convert."""
    return preprocess(**convert_arguments(argv, __doc__, NTU60))


if __name__ == "__main__":
    run(main)
