"""A joint that is missing is zero in the end and nothing is made of it; a score is no coordinate."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_gen.ntu_gen_bones import gen_bones
from data_gen.ntu_merge_joint_bones import merge_joint_bones
from feeders.arrays import LENGTH, MISSING, PREPARED, pack_missing
from feeders.feeder import Feeder
from feeders.layout import outside_picture
from feeders.streams import STREAMS
from graph.channels import Channels

SKELETON = """
name: cross
joints: [head, left hand, right hand, hip, left foot, right foot]
bones: [[head, hip], [left hand, head], [right hand, head], [left foot, hip], [right foot, hip]]
center: hip
"""
PARENTS, PARTNER = (3, 0, 0, 3, 3, 3), (0, 2, 1, 3, 5, 4)
N, T, V, M = 5, 20, 6, 2
PIXELS = "channels: {names: [x, y, score], unit: pixels, picture: [640, 480]}"


def write(folder: Path, x: np.ndarray, missing: np.ndarray | None = None, about: str = "") -> dict[str, str]:
    np.save(folder / "val_data_joint.npy", x.astype(np.float32))
    labels = [f"s{i}" for i in range(len(x))], [0] * len(x)
    (folder / "val_label.pkl").write_bytes(pickle.dumps(labels))
    (folder / "skeleton.yaml").write_text(SKELETON)
    if missing is not None:
        np.save(folder / f"val_{MISSING}", pack_missing(missing))
    if about:
        (folder / PREPARED).write_text(about)
    return {"data_path": str(folder / "val_data_joint.npy"), "label_path": str(folder / "val_label.pkl")}


def samples(paths: dict[str, str], **args: Any) -> np.ndarray:
    feeder = Feeder(**paths, **args)
    return np.stack([feeder[i][0].numpy() for i in range(len(feeder))])


@pytest.fixture
def x() -> np.ndarray:
    """Persons (N, 3, T, V, M), the second of whom is absent in the first frames."""
    x = np.random.default_rng(0).uniform(1, 2, (N, 3, T, V, M))
    x[:, :, :5, :, 1] = 0
    return x


@pytest.fixture
def missing(x: np.ndarray) -> np.ndarray:
    missing = np.random.default_rng(1).random((N, T, V, M)) < 0.2
    missing[:, 0, 3, 0] = True  # not even the centre is there at first
    missing[:, 1, 3, 0] = False
    return missing & x.any(axis=(1, 3))[:, :, None]


EVERYTHING: dict[str, Any] = {
    "center": 3, "normalization": True, "random_rotation": (9, 9, 9), "random_scaling": (0.5, 2), "mirroring": True,
    "min_max": True, "joint_jitter": 0.1, "random_move": True,
}  # fmt: skip
WINDOWS: list[dict[str, Any]] = [
    {},
    {"random_shift": True, "random_choose": True, "window_size": 16},
    *({"sampling": sampling, "window_size": 16} for sampling in ("even", "random", "uniform", "resize", "drawn")),
]
OPTIONS = [{name: EVERYTHING[name]} for name in EVERYTHING] + WINDOWS + [EVERYTHING | window for window in WINDOWS]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "+".join(options))
def test_what_stands_in_the_place_of_a_missing_joint_does_not_count(
    tmp_path: Path, x: np.ndarray, missing: np.ndarray, options: dict[str, Any]
) -> None:
    for derive in ("before", "after"):
        y = []
        for place in (0.0, 1e6):
            x[np.broadcast_to(missing[:, None], x.shape)] = place
            y.append(samples(write(tmp_path, x, missing), stream="+".join(STREAMS), derive=derive, **options))
        np.testing.assert_array_equal(*y)
        assert np.isfinite(y[0]).all()
        assert (y[0] == 0).mean() > 0.1


STAYS = ["center", "normalization", "random_rotation", "random_scaling", "min_max", "joint_jitter", "random_move"]


@pytest.mark.parametrize("name", STAYS)
def test_a_missing_joint_stays_zero_and_all_others_move(
    tmp_path: Path, x: np.ndarray, missing: np.ndarray, name: str
) -> None:
    y = samples(write(tmp_path, x, missing), **{name: EVERYTHING[name]})
    gone = np.broadcast_to(missing[:, None], x.shape)
    here = np.broadcast_to(x.any(axis=(1, 3))[:, None, :, None], x.shape) & ~gone
    assert not y[gone].any()
    changed = y != np.float32(x)
    assert changed[here].mean() > (0.4 if name == "random_move" else 0.9)  # z does not move
    assert not y[~here].any()


def test_the_centre_is_that_of_the_first_frame_that_holds_it(
    tmp_path: Path, x: np.ndarray, missing: np.ndarray
) -> None:
    y = samples(write(tmp_path, x, missing), center=3)
    for n, c, t, v, m in np.ndindex(2, *x.shape[1:]):
        absent = not x[n, :, t, :, m].any()
        expected = 0 if absent or missing[n, t, v, m] else np.float32(x[n, c, t, v, m]) - np.float32(x[n, c, 1, 3, 0])
        assert y[n, c, t, v, m] == pytest.approx(expected, abs=1e-6)
    missing[0, 8, 3] = True
    missing[0, :8, 3, 1] = True  # the second person's hip is seen from frame 9 on
    first = x[0, :, 1, 3, 0]
    y = samples(write(tmp_path, x, missing), center=3, center_person="mean")
    np.testing.assert_allclose(y[0, :, 1, 3, 0], 0, atol=1e-6)
    missing[0, 1:9, 3, 0] = True
    missing[0, 9, 3] = False
    y = samples(write(tmp_path, x, missing), center=3, center_person="mean")
    first = (x[0, :, 9, 3, 0] + x[0, :, 9, 3, 1]) / 2
    np.testing.assert_allclose(y[0, :, 9, 3, 0], x[0, :, 9, 3, 0] - first, atol=1e-6)


def test_without_its_centre_a_sample_stays_where_it_is(tmp_path: Path, x: np.ndarray, missing: np.ndarray) -> None:
    missing[0, :, 3] = True
    paths = write(tmp_path, x, missing)
    for person in ("first", "mean"):
        np.testing.assert_array_equal(samples(paths, center=3, center_person=person)[0], samples(paths)[0])


def test_min_max_is_of_what_is_there(tmp_path: Path, x: np.ndarray, missing: np.ndarray) -> None:
    y = samples(write(tmp_path, x, missing), min_max=True)
    for n, c in np.ndindex(2, 3):
        here = [(t, v, m) for t, v, m in np.ndindex(T, V, M) if x[n, :, t, :, m].any() and not missing[n, t, v, m]]
        values = [np.float32(x[n, c, t, v, m]) for t, v, m in here]
        for (t, v, m), value in zip(here, values, strict=True):
            expected = 2 * (value - min(values)) / (max(values) - min(values)) - 1
            assert y[n, c, t, v, m] == pytest.approx(expected, abs=1e-4)


def test_normalization_is_of_what_is_there(tmp_path: Path, x: np.ndarray, missing: np.ndarray) -> None:
    y = samples(write(tmp_path, x, missing), normalization=True)
    present = x.any(axis=(1, 3))[:, :, None] & ~missing
    for c, v in np.ndindex(3, V):
        values = y[:, c, :, v][present[:, :, v]]
        assert values.mean() == pytest.approx(0, abs=1e-5)
        assert values.std() == pytest.approx(1, abs=1e-4)


def test_bones_and_motion_with_a_missing_end_are_zero(tmp_path: Path, x: np.ndarray, missing: np.ndarray) -> None:
    x = x.astype(np.float32)
    paths = write(tmp_path, x, missing)
    bone, motion = samples(paths, stream="bone"), samples(paths, stream="joint_motion")
    for n, c, t, v, m in np.ndindex(2, *x.shape[1:]):
        gone = missing[n, t, v, m] or missing[n, t, PARENTS[v], m]
        assert bone[n, c, t, v, m] == (0 if gone else x[n, c, t, v, m] - x[n, c, t, PARENTS[v], m])
        gone = t == T - 1 or missing[n, t, v, m] or missing[n, t + 1, v, m]
        gone = gone or not x[n, :, t, :, m].any() or not x[n, :, t + 1, :, m].any()
        assert motion[n, c, t, v, m] == (0 if gone else x[n, c, t + 1, v, m] - x[n, c, t, v, m])
    x[np.broadcast_to(missing[:, None], x.shape)] = 0
    paths = write(tmp_path, x, missing)
    gen_bones(tmp_path)
    merge_joint_bones(tmp_path)
    for stream, name in (("bone", "bone"), ("joint+bone", "joint_bones")):
        generated = {**paths, "data_path": str(tmp_path / f"val_data_{name}.npy")}
        np.testing.assert_array_equal(samples(generated), samples(paths, stream=stream))
        options: dict[str, Any] = {"joint_jitter": 0.1, "random_scaling": (0.5, 2), "sampling": "even"}
        made = [
            samples(p, window_size=9, min_max=True, **options, **s)
            for p, s in ((generated, {}), (paths, {"stream": stream}))
        ]
        np.testing.assert_array_equal(*made)


@pytest.mark.parametrize("name", ["normalization", "min_max", "joint_jitter"])
@pytest.mark.parametrize("stream", ["joint+joint_motion", "bone_motion+joint"])
def test_motion_of_what_is_missing_in_the_last_frame_is_zero(
    tmp_path: Path, x: np.ndarray, stream: str, name: str
) -> None:
    """The last frame has no motion, and augmentations of the joints beside it do not make one of what is missing."""
    missing = np.zeros((N, T, V, M), bool)
    missing[:, -1, 2, 0] = True
    x[:, :, -1, :, 1] = 0
    last = samples(write(tmp_path, x, missing, PIXELS), stream=stream, **{name: EVERYTHING[name]})[:, :, -1]
    assert not last[:, :, 2, 0].any()
    assert not last[..., 1].any()
    assert (last[:, :, 4, 0] != 0).mean() > 0.4


def test_who_stands_still_is_present(tmp_path: Path, x: np.ndarray) -> None:
    """Motion of zero is a number like others: it is scaled, counts for the mean, gets noise and is interpolated."""
    x[:, :, 8:12] = x[:, :, 8:9]
    still = slice(8, 11)
    paths = write(tmp_path, x, about="channels: {names: [x, y, z]}")
    plain = samples(paths, stream="joint_motion")
    assert not plain[:, :, still].any()
    there = np.ones((N, T, M), bool)
    there[:, :5, 1] = False  # who is absent has no motion, nor has the frame before the first
    scaled = samples(paths, stream="joint_motion", min_max=True)
    normal = samples(paths, stream="joint_motion", normalization=True)
    for n, c in np.ndindex(N, 3):
        values = [plain[n, c, t, v, m] for t, v, m in np.ndindex(T, V, M) if there[n, t, m]]
        zero = -2 * min(values) / (max(values) - min(values)) - 1
        np.testing.assert_allclose(scaled[n, c, still], zero, atol=1e-5)
    for c, v in np.ndindex(3, V):
        values = [plain[n, c, t, v, m] for n, t, m in np.ndindex(N, T, M) if there[n, t, m]]
        np.testing.assert_allclose(normal[:, c, still, v], -np.mean(values) / np.std(values), atol=1e-5)
    assert samples(paths, stream="joint_motion", joint_jitter=0.1)[:, :, still].all()
    longer = samples(paths, stream="joint_motion", sampling="resize", window_size=2 * T)
    np.testing.assert_allclose(longer[:, :, 15], plain[:, :, 7] * 3 / 4, atol=1e-6)  # frame 7.25, between 7 and 8


def test_frames_of_which_all_bones_are_missing_are_recorded(tmp_path: Path, x: np.ndarray) -> None:
    """Their persons are there, as the mask tells, although all numbers are zero."""
    x[..., 1] = 0
    missing = np.zeros((N, T, V, M), bool)
    missing[:, :2, 3:, 0] = missing[:, :2, 0, 0] = True  # hip, feet and head: each bone lacks an end
    x[np.broadcast_to(missing[:, None], x.shape)] = 0
    paths = write(tmp_path, x, missing)
    gen_bones(tmp_path)
    bones = samples({**paths, "data_path": str(tmp_path / "val_data_bone.npy")}, sampling="even", window_size=T)
    assert not bones[:, :, :2].any()
    np.testing.assert_array_equal(bones, samples(paths, stream="bone", sampling="even", window_size=T))


def test_resizing_takes_no_missing_joint_between_two_frames(tmp_path: Path, x: np.ndarray) -> None:
    missing = np.zeros((N, T, V, M), bool)
    missing[:, 10, 2, 0] = True
    paths = write(tmp_path, x, missing)
    y = samples(paths, sampling="resize", window_size=T)  # every frame as it is
    gone = ~y[:, :, :, 2, 0].any(axis=1)
    assert gone.sum(axis=1).tolist() == [1] * N
    y = samples(paths, sampling="resize", window_size=2 * T)
    gone = ~y[:, :, :, 2, 0].any(axis=1)
    assert gone.sum(axis=1).tolist() == [4] * N  # two frames on both sides


def test_resizing_takes_no_absent_person_between_two_frames(tmp_path: Path, x: np.ndarray) -> None:
    """The second person comes in frame 5, and is nowhere between zero and the first position."""
    still = np.broadcast_to(x[:, :, 5:6], x.shape) * (x != 0)
    with_facts = samples(write(tmp_path, still, about=PIXELS), sampling="resize", window_size=3 * T)[0, 0, :, 2, 1]
    (tmp_path / PREPARED).unlink()
    published = samples(write(tmp_path, still), sampling="resize", window_size=3 * T)[0, 0, :, 2, 1]
    place = np.float32(still[0, 0, 5, 2, 1])
    assert np.isin(with_facts, [0, place]).all()
    assert ((published > 0) & (published < place)).sum() == 2


def test_a_centred_joint_at_the_origin_is_there(tmp_path: Path, x: np.ndarray) -> None:
    """A person of whom only the centre is seen is zero after `center`, and moves on as others do."""
    missing = np.zeros((N, T, V, M), bool)
    missing[:, 4, [0, 1, 2, 4, 5], 0] = True
    x[:, :, 4, 3, 0] = x[:, :, 0, 3, 0]
    paths = write(tmp_path, x, missing)
    assert not samples(paths, center=3)[:, :, 4, :, 0].any()
    for name in ("min_max", "joint_jitter", "random_move"):
        y = samples(paths, center=3, **{name: EVERYTHING[name]})
        assert y[:, :2, 4, 3, 0].all()
        assert not y[:, :, 4, [0, 1, 2, 4, 5], 0].any()


@pytest.mark.parametrize("options", [o for o in OPTIONS if "random_rotation" not in o], ids=lambda o: "+".join(o))
def test_geometry_leaves_scores_alone(tmp_path: Path, x: np.ndarray, options: dict[str, Any]) -> None:
    x[:, 2] = np.where(x[:, 2] > 0, 0.25, 0)  # one score, so that windows do not change it
    y = samples(write(tmp_path, x, about=PIXELS), **options)
    assert set(np.unique(y[:, 2])) <= ({0, 0.125, 0.25} if options.get("sampling") == "resize" else {0, 0.25})
    assert (y[:, 2] == 0.25).mean() > 0.4


def test_a_score_between_others_is_found_by_its_name(tmp_path: Path, x: np.ndarray) -> None:
    options: dict[str, Any] = {
        "center": 3,
        "mirroring": True,
        "random_scaling": (0.5, 2),
        "stream": "joint+bone+joint_motion",
    }
    order = [2, 0, 1]
    y = samples(write(tmp_path, x, about=PIXELS), **options)
    z = samples(write(tmp_path, x[:, order], about=PIXELS.replace("x, y, score", "score, x, y")), **options)
    np.testing.assert_array_equal(z, y[:, [3 * i + channel for i in range(3) for channel in order]])


def test_scores_of_bones_and_motion_are_means(tmp_path: Path, x: np.ndarray) -> None:
    x = x.astype(np.float32)
    paths = write(tmp_path, x, about=PIXELS)
    bone, motion, both = (samples(paths, stream=stream) for stream in ("bone", "joint_motion", "bone_motion"))
    mean = np.zeros_like(x[:, 2])
    for n, t, v, m in np.ndindex(mean.shape):
        mean[n, t, v, m] = (x[n, 2, t, v, m] + x[n, 2, t, PARENTS[v], m]) / 2
        stays = t < T - 1 and x[n, 2, t, v, m] and x[n, 2, t + 1, v, m]
        moved = (x[n, 2, t, v, m] + x[n, 2, t + 1, v, m]) / 2 if stays else 0
        assert bone[n, 2, t, v, m] == pytest.approx(mean[n, t, v, m])
        assert bone[n, 0, t, v, m] == x[n, 0, t, v, m] - x[n, 0, t, PARENTS[v], m]
        assert motion[n, 2, t, v, m] == pytest.approx(moved)
    moving = np.where((mean[:, 1:] > 0) & (mean[:, :-1] > 0), (mean[:, 1:] + mean[:, :-1]) / 2, 0)
    np.testing.assert_allclose(both[:, 2, :-1], moving, rtol=1e-6)
    gen_bones(tmp_path)
    np.testing.assert_array_equal(samples({**paths, "data_path": str(tmp_path / "val_data_bone.npy")}), bone)


@pytest.fixture
def bones_too(tmp_path: Path, x: np.ndarray) -> tuple[dict[str, str], dict[str, str]]:
    """Joints in a picture with their scores, and a file of the same joints and their bones."""
    paths = write(tmp_path, x.astype(np.float32), about=PIXELS)
    gen_bones(tmp_path)
    merge_joint_bones(tmp_path)
    return paths, {**paths, "data_path": str(tmp_path / "val_data_joint_bones.npy")}


def test_each_score_of_a_file_of_joints_and_bones_is_one(bones_too: tuple[dict[str, str], dict[str, str]]) -> None:
    paths, both = bones_too
    np.testing.assert_array_equal(
        samples(both, stream="joint_motion"), samples(paths, stream="joint_motion+bone_motion")
    )


def test_bones_in_a_file_have_no_place_either(bones_too: tuple[dict[str, str], dict[str, str]]) -> None:
    paths, both = bones_too
    bones = {**both, "data_path": both["data_path"].replace("joint_bones", "bone")}
    for person in ("first", "mean"):
        centred: dict[str, Any] = {"center": 3, "center_person": person}
        np.testing.assert_array_equal(samples(bones, **centred), samples(bones))
        np.testing.assert_allclose(
            samples(both, **centred), samples(paths, stream="joint+bone", **centred), rtol=1e-5, atol=1e-6
        )
    z, mirrored = (
        samples(bones, stream="joint+joint_motion", mirroring=mirroring)[:, 0] for mirroring in (False, True)
    )
    turned = [not np.array_equal(a, b) for a, b in zip(z, mirrored, strict=True)]
    assert 0 < sum(turned) < N
    np.testing.assert_array_equal(mirrored[turned], -z[turned][:, :, list(PARTNER)])


@pytest.mark.parametrize("stream", ["bone", "joint+bone_motion", "local"])
def test_no_bones_are_made_of_bones(bones_too: tuple[dict[str, str], dict[str, str]], stream: str) -> None:
    name = stream.removeprefix("joint+")
    with pytest.raises(
        ValueError, match=rf"stream: {name} is made of joints, .*_joint_bones\.npy holds bones; name the"
    ):
        Feeder(**bones_too[1], stream=stream)


def test_the_published_rule_takes_all_channels_alike(tmp_path: Path, x: np.ndarray, missing: np.ndarray) -> None:
    plain, options = x.copy(), {"random_move": True, "center": 3, "stream": "bone", "published": True}
    (tmp_path / "plain").mkdir()
    expected = samples(write(tmp_path / "plain", plain), **{**options, "published": False})
    np.testing.assert_array_equal(samples(write(tmp_path, x, missing, PIXELS), **options), expected)


def test_a_stream_of_ones_own_sees_coordinates_alone(tmp_path: Path, x: np.ndarray) -> None:
    seen = []

    class Mine(Feeder):
        streams = {**Feeder.streams, "mine": lambda joints, parents: seen.append(joints.shape) or 2 * joints}  # noqa: RUF012

    paths = write(tmp_path, x.astype(np.float32), about=PIXELS)
    y = Mine(**paths, stream="mine")[0][0].numpy()
    assert seen == [(2, T, V, M)]
    np.testing.assert_array_equal(y, np.float32(x[0]) * np.array([2, 2, 1], np.float32)[:, None, None, None])


@pytest.mark.parametrize(
    ("about", "said"), [(PIXELS, "holds x, y, score of a picture"), ("channels: {names: [x, y, score]}", "no depth")]
)
@pytest.mark.parametrize("published", [False, True])
def test_a_picture_is_not_turned_in_space(
    tmp_path: Path, x: np.ndarray, about: str, said: str, published: bool
) -> None:
    with pytest.raises(ValueError, match=f"random_rotation: turns x, y and z, .*{said}.*; drop it"):
        Feeder(**write(tmp_path, x, about=about), random_rotation=(9, 9, 9), published=published)


def test_kinetics_skeleton_is_known_to_be_of_a_picture(tmp_path: Path) -> None:
    paths = write(tmp_path, np.ones((1, 3, 4, 18, 1)))
    (tmp_path / "skeleton.yaml").unlink()
    with pytest.raises(ValueError, match="holds x, y, score of Kinetics-skeleton, without depth; drop it"):
        Feeder(**paths, random_rotation=(9, 9, 9))


MIRRORS = [
    (PIXELS, 0, 320.0), ("channels: {names: [x, y, score], unit: pixels}", 0, None),
    ("channels: {names: [x, y]}", 0, None),
    ("channels: {names: [x, y, z], unit: normalised}", 0, 0.0), ("channels: {names: [x, y], unit: pixels}", 1.5, None),
    ("channels: {names: [x, y, score], unit: normalised, picture: [1, 1]}", 0, 0.5),
    ("channels: {names: [x, y, z], unit: metres}", 0, 0.0),
    ("channels: {names: [x, y, score], unit: normalised}", -1.5, 0.0), ("", 0, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("about", "moved", "place"), MIRRORS)
def test_the_mirror_stands_in_the_picture(
    tmp_path: Path, x: np.ndarray, missing: np.ndarray, about: str, moved: float, place: float | None
) -> None:
    x = (x + moved * (x != 0)).astype(np.float32)[:, : 2 if "[x, y]" in about else 3]
    paths = write(tmp_path, x, missing, about)
    plain, mirrored, bone = (
        samples(paths, **args) for args in ({}, {"mirroring": True}, {"mirroring": True, "stream": "bone"})
    )
    seen = set()
    for n in range(N):
        values = [plain[n, 0, t, v, m] for t, v, m in np.ndindex(T, V, M) if plain[n, :, t, v, m].any()]
        about_x = (min(values) + max(values)) / 2 if place is None else place
        expected = plain[n].copy()
        for t, v, m in np.ndindex(T, V, M):
            joint = plain[n, :, t, PARTNER[v], m]
            expected[:, t, v, m] = joint
            expected[0, t, v, m] = 2 * about_x - joint[0] if joint.any() else 0
        is_mirrored = not np.array_equal(mirrored[n], plain[n])
        seen.add(is_mirrored)
        np.testing.assert_allclose(mirrored[n], expected if is_mirrored else plain[n], atol=1e-5, err_msg=str(n))
        joints = np.where(mirrored[n].any(axis=0), mirrored[n], np.nan)
        step = np.nan_to_num(joints[:2] - joints[:2][:, :, list(PARENTS)])
        np.testing.assert_allclose(bone[n, :2], step, atol=1e-4)  # a bone of mirrored joints
    assert seen == {True, False}


def test_a_centred_picture_is_mirrored_about_its_centre(tmp_path: Path, x: np.ndarray) -> None:
    paths = write(tmp_path, x, about=PIXELS)
    y, mirrored = (samples(paths, center=3, mirroring=mirroring)[:, 0] for mirroring in (False, True))
    turned = [not np.array_equal(a, b) for a, b in zip(y, mirrored, strict=True)]
    assert 0 < sum(turned) < N
    np.testing.assert_array_equal(mirrored[turned], -y[turned][:, :, list(PARTNER)])


def test_a_scaled_picture_is_mirrored_about_the_skeleton(tmp_path: Path, x: np.ndarray) -> None:
    paths = write(tmp_path, x, about=PIXELS)
    y, mirrored = (samples(paths, random_scaling=(3, 3), mirroring=mirroring) for mirroring in (False, True))
    turned = [n for n in range(N) if not np.array_equal(y[n], mirrored[n])]
    assert turned
    for n in turned:
        for extreme in (np.min, np.max):
            here = y[n, 0] != 0
            assert extreme(mirrored[n, 0][here]) == pytest.approx(extreme(y[n, 0][here]), rel=1e-5)


def test_without_an_x_nothing_changes_its_sign(tmp_path: Path, x: np.ndarray) -> None:
    paths = write(tmp_path, x, about="channels: {names: [depth, y, z]}")
    y, mirrored = (samples(paths, mirroring=mirroring) for mirroring in (False, True))
    assert {
        np.array_equal(b, a) or np.array_equal(b, a[:, :, list(PARTNER)]) for a, b in zip(y, mirrored, strict=True)
    } == {True}
    assert not np.array_equal(y, mirrored)


def test_what_is_outside_the_picture_is_told() -> None:
    x = np.array([[-1, 0, 640, 641, 5, 5], [5, 0, 480, 5, -0.1, 481], [9] * 6]).reshape(3, 1, 6, 1)
    outside = outside_picture(x, Channels(("x", "y", "score"), "pixels", (640, 480)))
    assert outside[0, :, 0].tolist() == [True, False, False, True, True, True]
    assert outside_picture(np.stack([x, x]), Channels(("x", "y", "score"), "pixels", (640, 480))).sum() == 8
    assert not outside_picture(x, Channels(("x", "y", "score"), "pixels")).any()
    assert not outside_picture(x, Channels()).any()


def test_recorded_frames_are_those_of_the_stored_length(tmp_path: Path, x: np.ndarray) -> None:
    """Two persons that were filled after different numbers of frames: no frame repeats all of an earlier one."""
    x[:, :, 12:, :, 0] = x[:, :, :8, :, 0]
    x[..., 1] = x[:, :, [t % 7 for t in range(T)]][..., 1] + 1
    paths = write(tmp_path, x.astype(np.float32))
    window: dict[str, Any] = {"sampling": "even", "window_size": 12}
    assert not np.array_equal(samples(paths, **window)[0], np.float32(x[0, :, :12]))
    np.save(tmp_path / f"val_{LENGTH}", np.array([12, 12, 5, 0, 20], np.int32))
    y = samples(paths, **window)
    np.testing.assert_array_equal(y[:2], np.float32(x[:2, :, :12]))
    frames = np.linspace(0, 4, 12).astype(int)
    np.testing.assert_array_equal(y[2], np.float32(x[2][:, frames]))
    np.testing.assert_array_equal(y[3], np.float32(x[3][:, [0] * 12]))
    x[:, :, [0, 1, 11]] = 0  # nobody at first and at last
    paths = write(tmp_path, x.astype(np.float32))
    y = samples(paths, sampling="even", window_size=9)
    np.testing.assert_array_equal(y[0], np.float32(x[0, :, 2:11]))
