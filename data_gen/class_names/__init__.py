"""The names of the classes of the large data sets, in the order of their labels, for `class_names` in a config.

`NTU60` and `NTU120`: the actions A1, A2, ... as their authors list them at https://github.com/shahroudy/NTURGB-D
("quite" in A67 is theirs), with straight apostrophes. `KINETICS`: the 400 classes of Kinetics in alphabetical order,
which is the order of `label_index` in Kinetics-skeleton.
"""

from __future__ import annotations

from pathlib import Path


def _read(file: str) -> tuple[str, ...]:
    """The lines of a file beside this one."""
    return tuple(Path(__file__).with_name(file).read_text(encoding="ascii").splitlines())


NTU120 = _read("ntu_rgbd_120.txt")
NTU60 = NTU120[:60]
KINETICS = _read("kinetics_400.txt")
