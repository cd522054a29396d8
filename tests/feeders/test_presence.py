"""Who is present, against a loop over joints; the feeder, `check` and the report see the same persons and joints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_gen.common.command_line import Report
from data_gen.common.contents import scan
from data_gen.common.convert import Row, Sample, write_arrays
from feeders.arrays import LABEL, beside
from feeders.feeder import Feeder
from feeders.presence import evenly, present, present_joints
from graph.channels import Channels
from processor.results.skeletons import Skeletons


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("masked", [False, True])
def test_presence_is_that_of_a_loop(batch: tuple[int, ...], masked: bool) -> None:
    rng = np.random.default_rng(0)
    C, T, V, M = 2, 3, 4, 2
    x = rng.normal(size=(*batch, C, T, V, M)) * (rng.random((*batch, 1, T, 1, M)) < 0.5)
    missing = rng.random((*batch, T, V, M)) < 0.3 if masked else None
    persons, joints = present(x, missing), present_joints(x, missing)
    assert joints.shape == (*batch, T, V, M)
    for place in np.ndindex(joints.shape):
        *sample, t, _, m = place
        is_present = any(x[(*sample, c, t, w, m)] != 0 for c in range(C) for w in range(V))
        if missing is not None:
            is_present |= any(missing[(*sample, t, w, m)] for w in range(V))
        assert persons[(*sample, t, m)] == is_present
        assert joints[place] == (is_present and (missing is None or not missing[place]))


def test_a_joint_at_the_origin_beside_missing_ones_is_present_everywhere(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3, 6, 25, 1)).astype(np.float32)
    missing = np.zeros((6, 25, 1), bool)
    x[:, 2], missing[2], missing[2, 1] = 0, True, False  # in frame 2 only joint 1 is seen, and it is the origin
    name = "val_data_joint.npy"
    sample = Sample("a", 0, (name,))
    write_arrays(
        tmp_path, [name], [sample], [(sample, Row(x, 6, 1, missing))], Report(),
        row_shape=x.shape, channels=Channels(unit="metres"),
    )  # fmt: skip
    contents = scan(tmp_path / name)
    assert (contents.num_absent.tolist(), contents.num_missing.tolist()) == ([0], [24])
    assert Skeletons(str(tmp_path / name)).joints(0)[2, 1].tolist() == [0, 0, 0]
    feeder = Feeder(str(tmp_path / name), str(beside(tmp_path / name, LABEL)))
    assert np.flatnonzero(~np.isnan(feeder._joints(0, cut=True)[0, 2, :, 0])).tolist() == [1]


@pytest.mark.parametrize(
    ("length", "most", "numbers"), [(1, 5, [0]), (3, 5, [0, 1, 2]), (9, 5, [0, 2, 4, 6, 8]), (10, 3, [0, 4, 9])]
)
def test_evenly_spaced_numbers_have_both_ends(length: int, most: int, numbers: list[int]) -> None:
    assert evenly(length, most).tolist() == numbers
