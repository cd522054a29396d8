"""Converts NTU RGB+D without preprocessing: `python data_gen/ntu_gendata.py --data_path FOLDER`.

Writes `{out_folder}/{xsub,xview}/{train,val}_data.npy` and `_label.pkl` (see `data_gen.ntu.convert`): the first two
bodies of every frame as they were recorded, padded with zeros to 300 frames.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_gen.common.command_line import run
from data_gen.ntu.convert import command, gendata
from data_gen.ntu.splits import NTU60

main = partial(command, gendata, __doc__, NTU60)

if __name__ == "__main__":
    run(main)
