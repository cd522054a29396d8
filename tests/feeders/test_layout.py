"""How the channels of an array are drawn: which are axes, which is a score, and whether y grows downwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_gen.formats.arrays import guess_channels
from feeders.layout import Layout
from graph.channels import Channels
from graph.common.yaml_text import dump
from graph.tools import Skeleton
from processor.results.body_pictures import Bodies
from processor.results.skeletons import Skeletons

XYS = ("x", "y", "score")
CASES: dict[str, tuple[int, int, Channels | None, list[int], bool, bool]] = {
    # joints, channels, what prepared.yaml tells: what is drawn, whether the third is a score, whether y is down
    "metres": (25, 3, Channels(unit="metres"), [0, 1, 2], False, False),
    "pixels": (17, 3, Channels(XYS, "pixels", (640, 480)), [0, 1], True, True),
    "shares of a picture": (17, 2, Channels(("x", "y"), "normalised", (1, 1)), [0, 1], False, True),
    "shares from the middle, as of Kinetics and pyskl": (18, 3, Channels(XYS, "normalised"), [0, 1], True, False),
    "joints and bones": (17, 6, Channels(XYS, "pixels"), [0, 1], True, True),
    "published Kinetics": (18, 3, None, [0, 1], True, False),
    "published NTU": (25, 3, None, [0, 1, 2], False, False),
    "published joints and bones": (25, 6, None, [0, 1, 2], False, False),
    "two channels, nothing is known": (25, 2, None, [0, 1], False, False),
}


def array(folder: Path, V: int, C: int, channels: Channels | None) -> Path:
    path = folder / ("val_data_joint_bones.npy" if C == 6 else "val_data_joint.npy")
    np.save(path, np.random.default_rng(0).normal(size=(1, C, 4, V, 1)).astype(np.float32))
    if channels:
        (folder / "prepared.yaml").write_text(dump({"channels": channels.as_mapping()}))
    return path


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_drawn(tmp_path: Path, case: Any) -> None:
    V, C, channels, *expected = case
    path = array(tmp_path, V, C, channels)
    layout = Layout.of_array(path)
    assert [layout.drawn, layout.is_scored, layout.is_down] == expected
    if C < 6:
        skeletons = Skeletons(str(path))
        about = skeletons.about([0])
        assert (about["dims"], skeletons.scored, about["down"]) == (len(expected[0]), *expected[1:])


def test_bodies_of_pictures_stand_upright_and_scores_are_no_axis(tmp_path: Path) -> None:
    body = np.zeros((3, 1, 3, 1))
    body[0, 0, :, 0] = [10, 300, 600]  # wider than high: without a layout x is taken for the vertical axis
    body[1, 0, :, 0] = [400, 450, 480]
    body[2, 0, :, 0] = [0.1, 0.5, 1]
    skeleton = Skeleton("three", ("a", "b", "c"), (0, 0, 1))
    layout = Layout(("joint",), 3, Channels(XYS, "pixels"), "of a picture")
    assert Bodies(body, skeleton, {}, layout).points[0, 0].tolist() == [[10, -400], [300, -450], [600, -480]]
    assert Bodies(body, skeleton, {}).points[0, 0].tolist() == [[400, 10], [450, 300], [480, 600]]


@pytest.mark.parametrize("C", [3, 4, 5])
def test_channels_without_names_are_the_same_in_arrays_and_in_recordings(C: int) -> None:
    joints = np.random.default_rng(0).normal(size=(10, 1, 25, C)) * 3
    assert guess_channels(joints).names == Channels.numbered(C).names
    assert Channels.numbered(C).names == ("x", "y", "z", "channel 4", "channel 5")[:C]
