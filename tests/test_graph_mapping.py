"""Joints of one skeleton as another's: by name in any spelling, by mid-points, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from graph import azure_kinect, coco, kinetics, mediapipe, ntu_rgb_d, nw_ucla, openpose
from graph.channels import Channels
from graph.mapping import as_skeleton, canonical_names, in_metres
from graph.tools import Skeleton

KINECT_1, KINECT_2, AZURE = nw_ucla.SKELETON, ntu_rgb_d.SKELETON, azure_kinect.SKELETON
COCO, OPENPOSE_18, OPENPOSE_25, MEDIAPIPE = coco.SKELETON, kinetics.SKELETON, openpose.SKELETON, mediapipe.SKELETON
ALL = (KINECT_1, KINECT_2, AZURE, COCO, OPENPOSE_18, OPENPOSE_25, MEDIAPIPE)


def body(skeleton: Skeleton) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Random joints (2, V, 3), and each by its name."""
    joints = np.random.default_rng(0).standard_normal((2, skeleton.num_point, 3))
    return joints, {name: joints[:, i] for i, name in enumerate(skeleton.joints)}


def made(source: Skeleton, target: Skeleton) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    joints, by_name = body(source)
    y, present = as_skeleton(joints, np.ones(joints.shape[:-1], bool), source, target)
    assert present.all()
    return by_name, {name: y[:, i] for i, name in enumerate(target.joints)}


@pytest.mark.parametrize("skeleton", ALL, ids=lambda s: s.name)
def test_a_skeleton_is_itself(skeleton: Skeleton) -> None:
    joints, _ = body(skeleton)
    y, present = as_skeleton(joints, np.ones(joints.shape[:-1], bool), skeleton, skeleton)
    np.testing.assert_array_equal(y, joints)
    assert present.all()


def test_centres_are_mid_points() -> None:
    x, y = made(MEDIAPIPE, KINECT_2)
    hips = (x["left hip"] + x["right hip"]) / 2
    shoulders = (x["left shoulder"] + x["right shoulder"]) / 2
    head = (x["left ear"] + x["right ear"]) / 2
    expected = {
        "spine base": hips, "spine mid": (hips + shoulders) / 2, "spine shoulder": shoulders, "head": head,
        "neck": (shoulders + head) / 2, "left hand": (x["left index"] + x["left pinky"]) / 2,
        "right foot": x["right foot index"], "left knee": x["left knee"], "right thumb": x["right thumb"],
    }  # fmt: skip
    for name, joint in expected.items():
        np.testing.assert_allclose(y[name], joint, atol=1e-12, err_msg=name)


def test_the_neck_of_openpose_is_between_the_shoulders() -> None:
    x, y = made(COCO, OPENPOSE_18)
    np.testing.assert_allclose(y["neck"], (x["left shoulder"] + x["right shoulder"]) / 2)
    np.testing.assert_array_equal(y["right wrist"], x["right wrist"])
    x, y = made(OPENPOSE_25, COCO)
    np.testing.assert_array_equal(y["left ear"], x["left ear"])
    x, y = made(AZURE, OPENPOSE_18)
    np.testing.assert_allclose(y["neck"], (x["left shoulder"] + x["right shoulder"]) / 2)
    x, y = made(AZURE, KINECT_2)
    np.testing.assert_array_equal(y["neck"], x["neck"])
    np.testing.assert_array_equal(y["spine base"], x["pelvis"])
    np.testing.assert_array_equal(y["spine mid"], x["spine navel"])
    x, y = made(KINECT_2, KINECT_1)
    np.testing.assert_array_equal(y["shoulder center"], x["spine shoulder"])
    np.testing.assert_array_equal(y["left hand"], x["left hand"])


LACKING = {
    (KINECT_1, KINECT_2): "left hand tip, left thumb, right hand tip, right thumb",
    (KINECT_2, COCO): "nose, left eye, right eye, left ear, right ear",
    (COCO, KINECT_1): "left hand, left foot, right hand, right foot",
    (OPENPOSE_25, KINECT_1): "left hand, right hand",
    (MEDIAPIPE, OPENPOSE_25): "left small toe, right small toe",
    (KINECT_2, AZURE): "nose, left eye, left ear, right eye, right ear",
}


@pytest.mark.parametrize("pair", LACKING, ids=lambda pair: f"{pair[0].name} to {pair[1].name}")
def test_what_cannot_be_made_is_named(pair: tuple[Skeleton, Skeleton]) -> None:
    source, target = pair
    joints, _ = body(source)
    there = np.ones(joints.shape[:-1], bool)
    with pytest.raises(ValueError, match="joints do not make these of") as error:
        as_skeleton(joints, there, source, target)
    assert sorted(str(error.value).partition(": ")[2].split(", ")) == sorted(LACKING[pair].split(", "))
    y, present = as_skeleton(joints, there, source, target, partial=True)
    lacking = {name for i, name in enumerate(target.joints) if not present[0, i]}
    assert lacking == set(LACKING[pair].split(", "))
    assert not y[~present].any()


def test_a_mid_point_of_a_missing_joint_is_missing() -> None:
    joints, _ = body(MEDIAPIPE)
    present = np.ones(joints.shape[:-1], bool)
    present[1, MEDIAPIPE.joints.index("left hip")] = False
    joints[~present] = np.nan
    y, there = as_skeleton(joints, present, MEDIAPIPE, KINECT_2)
    gone = {name for i, name in enumerate(KINECT_2.joints) if not there[1, i]}
    assert there[0].all()
    assert gone == {"spine base", "spine mid", "left hip"}
    assert not y[~there].any()
    assert np.isfinite(y).all()


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("SPINE_BASE", "hip center"), ("HandTipLeft", "left hand tip"), ("LShoulder", "left shoulder"),
        ("r_ankle", "right ankle"), ("RBigToe", "right big toe"), ("MidHip", "hip center"), ("Pelvis", "hip center"),
        ("left-eye", "left eye"), ("KNEE_RIGHT", "right knee"), ("Hip Centre", "hip center"), ("...", ""),
    ],
)  # fmt: skip
def test_names_in_any_spelling(spelling: str, name: str) -> None:
    assert canonical_names(Skeleton("s", (spelling,), (0,))) == (name,)


def test_millimetres_are_noticed() -> None:
    metres = np.random.default_rng(0).uniform(-1, 1, (5, 2, 32, 3)).astype(np.float32)
    present = np.ones(metres.shape[:-1], bool)
    present[:, 1] = False
    metres[:, 1] = 0
    for unit in ("unknown", "millimetres"):
        y, channels = in_metres(1000 * metres, present, Channels(unit=unit))  # type: ignore[arg-type]
        np.testing.assert_allclose(y, metres, rtol=1e-6)
        assert channels.unit == "metres"
    with pytest.raises(ValueError, match=r"unit is metres, but bodies are .* high or wide; say millimetres"):
        in_metres(1000 * metres, present, Channels(unit="metres"))
    scored = Channels(("x", "y", "z", "score"), "millimetres")
    y, _ = in_metres(np.full((1, 1, 4), 500.0), present[0, :1, :1], scored)
    assert y.tolist() == [[[0.5, 0.5, 0.5, 500]]]
    for channels in (Channels(unit="metres"), Channels(("x", "y"), "pixels"), Channels(unit="normalised"), Channels()):
        x = metres if len(channels.names) == 3 else 1000 * metres[..., :2]
        same, kept = in_metres(x, present, channels)
        assert same is x
        assert kept == channels
