"""Graphs equal the published ones, and skeletons are trees."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from graph.tools import LABELING_MODES

SKELETONS = ("ntu_rgb_d", "kinetics", "nw_ucla")


@pytest.mark.parametrize("mode", LABELING_MODES)
@pytest.mark.parametrize("name", ["ntu_rgb_d", "kinetics"])
def test_partitions_equal_the_published_ones(golden: Path, name: str, mode: str) -> None:
    expected = np.load(golden / "graphs.npz")[f"{name}.{mode}"]
    A = import_module(f"graph.{name}").Graph(mode).A
    assert A.dtype == np.float32
    np.testing.assert_allclose(A, expected.reshape(A.shape), atol=1e-7)


@pytest.mark.parametrize("name", SKELETONS)
def test_every_joint_reaches_the_root(name: str) -> None:
    skeleton = import_module(f"graph.{name}").SKELETON
    assert len(skeleton.parents) == skeleton.num_point
    for joint in range(skeleton.num_point):
        for _ in range(skeleton.num_point):
            joint = skeleton.parents[joint]
        assert skeleton.parents[joint] == joint
    assert len(skeleton.edges) == skeleton.num_point - 1


def test_unknown_labeling_mode_is_named() -> None:
    with pytest.raises(ValueError, match=r"labeling_mode: 'spatail' is none of uniform, distance\*"):
        import_module("graph.ntu_rgb_d").Graph("spatail")
