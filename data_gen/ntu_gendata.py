"""NTU RGB+D raw files to plain arrays: `python data_gen/ntu_gendata.py --data_path FOLDER`.

Writes `{out_folder}/{xsub,xview}/{train,val}_data.npy` and `_label.pkl` (see `data_gen.ntu.convert`): the
first two bodies of every frame as they were recorded, zero padded to 300 frames.
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
from data_gen.ntu.steps import plain

gendata = partial(convert, steps=plain, suffix="data")
"""`gendata(data_path, out_folder, *, dataset, ignored_sample_path, strict, num_worker)`, see `convert`."""


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and convert."""
    return gendata(**convert_arguments(argv, __doc__, NTU60))


if __name__ == "__main__":
    run(main)
