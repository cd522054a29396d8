"""Converts and preprocesses NTU RGB+D: `python data_gen/preprocess.py --data_path FOLDER`.

Writes `{out_folder}/{xsub,xview}/{train,val}_data_joint.npy` and `_label.pkl` (see `data_gen.ntu.convert`). Of the
first four bodies, the two that move most are kept, repeated up to 300 frames, centred and rotated (see
`data_gen.ntu.steps`).
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_gen.common.command_line import run
from data_gen.ntu.convert import command, preprocess
from data_gen.ntu.splits import NTU60

main = partial(command, preprocess, __doc__, NTU60)

if __name__ == "__main__":
    run(main)
