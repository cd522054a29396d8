"""Converts NTU RGB+D 120 without preprocessing: `python data_gen/ntu120_gendata.py --part1_path A --part2_path B`.

A holds the files of NTU RGB+D 60 (setups 1 to 17), B those of setups 18 to 32. Writes
`{out_folder}/{xsub,xset}/{train,val}_data.npy` and `_label.pkl`, in the same form as `ntu_gendata.py`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_gen.common.command_line import run
from data_gen.ntu.convert import command, gendata
from data_gen.ntu.splits import NTU120

main = partial(command, gendata, __doc__, NTU120)

if __name__ == "__main__":
    run(main)
