"""The demo's recordings are NTU files of believable people, always the same, and are made whole or not at all."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from data_gen import demo_gendata
from data_gen.demo.actions import ACTIONS, SCRIPTS
from data_gen.demo.motion import ANKLES, CHAIN, DOFS, FEET, RIGHT_HAND, perform, performer, rotation
from data_gen.demo.sensor import film
from data_gen.demo_gendata import make_demo, recordings
from data_gen.formats.ntu_skeleton import read_skeleton
from data_gen.ntu.splits import SampleName, parse_name
from feeders.arrays import load_lengths, load_prepared

BONES = np.array([(joint, parent) for joint, (parent, *_) in CHAIN.items()])


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of two performers, each action twice before three cameras."""
    folder = tmp_path_factory.mktemp("raw")
    for name, text in recordings(seed=0, performers=2, replications=2):
        (folder / name).write_bytes(text.encode("ascii"))
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Settings of a demo of three performers and two actions."""
    monkeypatch.setattr(demo_gendata, "ACTIONS", ("wave", "shake hands"))
    return {"performers": 3, "replications": 1}


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    """(..., V, C) -> (..., bones) metres."""
    return np.linalg.norm(joints[..., BONES[:, 0], :] - joints[..., BONES[:, 1], :], axis=-1)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_parses_and_shows_the_whole_variety(raw: Path) -> None:
    files = sorted(raw.iterdir())
    assert len(files) == 2 * 2 * 3 * len(ACTIONS)
    late = gaps = ghosts = 0
    for path in files:
        bodies, _, num_frame = read_skeleton(path)
        present = np.zeros((4, num_frame), bool)
        present[: len(bodies)] = bodies.any(axis=(2, 3))
        assert 45 <= num_frame <= 80
        persons = SCRIPTS[ACTIONS[parse_name(path.name).action - 1]].persons
        assert (present[:persons] == present[0]).all()
        assert present[0].sum() > 0.8 * num_frame
        assert persons <= present.any(axis=1).sum() <= persons + 1
        ghosts += present[persons].any() and present[persons].sum() < 25
        late += not present[0, 0]
        gaps += not present[0, present[0].argmax() :].all()
    assert min(late, gaps, ghosts) >= 3
    assert max(late, gaps, ghosts) < len(files) / 3


def test_numbers_beside_the_joints_are_those_of_a_kinect(raw: Path) -> None:
    states = set()
    for path in sorted(raw.iterdir())[::7]:
        lines = [line.split() for line in path.read_text().splitlines()]
        rows = np.array([line for line in lines if len(line) == 12], dtype=float)
        depth, color, orientation = rows[:, 3:5], rows[:, 5:7], rows[:, 7:11]
        # whoever stands straight ahead and at the sensor's height is in the middle; pixels count to the right and down
        np.testing.assert_allclose((depth - (257, 208)) / 365, rows[:, :2] / rows[:, 2:3] * (1, -1), atol=1e-4)
        assert ((rows[:, 2] > 1.2) & (rows[:, 2] < 5)).all(), "a Kinect v2 sees from 0.5 to 4.5 m"
        assert ((depth >= 0) & (depth < (512, 424))).all()
        assert ((color >= 0) & (color < (1920, 1080))).mean() > 0.99
        norm = np.linalg.norm(orientation, axis=1).reshape(-1, 25)
        np.testing.assert_allclose(norm, np.tile(norm[0], (len(norm), 1)), atol=1e-5)
        np.testing.assert_allclose(norm[0], ~np.isin(np.arange(25), [3, 15, 19, 21, 22, 23, 24]), atol=1e-5)
        states |= set(rows[:, 11])
    assert states == {0, 1, 2}


@pytest.mark.parametrize("action", ACTIONS)
def test_people_have_rigid_bones_and_stand_on_the_floor(action: str) -> None:
    scene = perform(action, 3, 1)
    assert len(scene) == SCRIPTS[action].persons
    lengths = bone_lengths(scene)
    np.testing.assert_allclose(lengths, lengths[:, :1].repeat(scene.shape[1], axis=1), atol=1e-9)
    np.testing.assert_allclose(lengths[0, 0], np.linalg.norm(performer(3, seed=0).offsets[BONES[:, 0]], axis=1))
    lowest = scene[..., FEET, 1].min(axis=-1)
    assert (lowest > -1e-9).all()
    flight = (lowest > 0.1).any()
    assert flight == (action == "jump up")
    assert (lowest[:, [0, -1]] < 0.02).all()
    assert 1.3 < scene[0, :, 3, 1].max() - 0.36 * flight < 1.95


@pytest.mark.parametrize("action", [action for action in ACTIONS if action != "jump up"])
def test_a_foot_that_carries_does_not_slide(action: str) -> None:
    for number in range(1, 6):
        ankles = perform(action, number, 1)[0][:, ANKLES]
        moved = np.linalg.norm((ankles - ankles[0])[..., [0, 2]], axis=-1).min(axis=1)
        assert moved.max() < (0.08 if action == "kick" else 0.05)


def test_actions_do_what_they_are_called() -> None:
    def body(action: str) -> np.ndarray:
        return perform(action, 4, 1)[0]

    def hands_to(joint: int, action: str) -> float:
        return np.linalg.norm(body(action)[:, [7, 11]] - body(action)[:, joint, None], axis=-1).min()

    assert hands_to(3, "drink") < 0.25
    assert hands_to(3, "clap") > 0.3
    palms = np.linalg.norm(body("clap")[:, 7] - body("clap")[:, RIGHT_HAND], axis=-1)
    assert palms.min() < 0.2 < 0.3 < palms[15:-15].max()
    hips = body("sit down")[:, 0, 1]
    assert hips[-1] < 0.7 * hips[0]
    hips = body("stand up")[:, 0, 1]
    assert hips[0] < 0.7 * hips[-1]
    assert body("bow")[:, 3, 1].min() < 0.8 * body("bow")[0, 3, 1]
    assert body("kick")[:, FEET, 1].max() > 0.25
    first, second = perform("shake hands", 4, 1)
    reach = np.linalg.norm(first[:, RIGHT_HAND] - second[:, RIGHT_HAND], axis=-1)
    assert reach.min() < 0.15
    assert np.linalg.norm(first[:, 0] - second[:, 0], axis=-1).min() > 0.5


def test_bones_keep_their_length_up_to_the_noise(raw: Path) -> None:
    for path in sorted(raw.glob("*P002*"))[::5]:
        body = read_skeleton(path).bodies[0]
        lengths = bone_lengths(body[body.any(axis=(1, 2))])
        error = np.abs(lengths - np.median(lengths, axis=0))
        assert np.median(error) < 0.012
        assert error[:, :4].max() < 0.06, "the trunk is always seen well"
        assert error.max() > 1e-3, "no sensor is that good"


def test_three_cameras_see_one_performance(raw: Path) -> None:
    for pattern in ("P001R001A002", "P002R002A007"):
        views = [read_skeleton(path).bodies[0] for path in sorted(raw.glob(f"*C*{pattern}*"))]
        assert len(views) == 3
        seen = np.all([view.any(axis=(1, 2)) for view in views], axis=0)
        clouds = [view[seen].reshape(-1, 3) - view[seen].mean(axis=(0, 1)) for view in views]
        for cloud, angle in zip(clouds[1:], (-45, 45), strict=True):
            U, _, Vt = np.linalg.svd(cloud.T @ clouds[0])  # Kabsch: the rotation between the views
            R = U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt
            assert np.median(np.linalg.norm(clouds[0] - cloud @ R, axis=1)) < 0.025
            assert np.median(np.linalg.norm(clouds[0] - cloud, axis=1)) > 0.1
            np.testing.assert_allclose(R, rotation(np.deg2rad([0, angle, 0])), atol=np.sin(np.deg2rad(10)))


def test_elementary_turns() -> None:
    down = np.array([0.0, -1, 0])
    np.testing.assert_allclose(rotation(np.deg2rad([90, 0, 0])) @ down, [0, 0, -1], atol=1e-12)  # forward
    np.testing.assert_allclose(rotation(np.deg2rad([0, 0, 90])) @ down, [1, 0, 0], atol=1e-12)  # to the right
    x, y, z = np.eye(3)
    product = rotation(0.3 * x) @ rotation(0.5 * z) @ rotation(0.7 * y)
    np.testing.assert_allclose(rotation(np.array([0.3, 0.7, 0.5])), product, atol=1e-12)


def test_scripts_name_angles_that_exist() -> None:
    for script in SCRIPTS.values():
        for _, pose in (*script.begin, *script.cycle, *script.end):
            assert set(pose) <= set(DOFS)


def test_performers_differ() -> None:
    statures = [performer(number, seed=0).stature for number in range(1, 11)]
    assert np.ptp(statures) > 0.15
    assert performer(1, seed=0).stature == statures[0] != performer(1, seed=1).stature


def test_partners_never_perform_alone() -> None:
    def build(action: str, number: int) -> np.ndarray:
        lengths = bone_lengths(perform(action, number, 1)[-1, 0])
        return lengths / lengths.sum()

    alone = np.array([build("bow", number) for number in range(1, 11)])
    partners = np.array([build("shake hands", number) for number in range(1, 11)])
    assert np.abs(partners[:, None] - alone).max(axis=-1).min() > 1e-4


def test_the_seed_decides_every_byte(raw: Path) -> None:
    again = dict(recordings(seed=0, performers=1, replications=1))
    for name, text in again.items():  # what a file says does not depend on how many there are
        assert (raw / name).read_bytes() == text.encode("ascii")
    assert not set(again.values()) & set(dict(recordings(seed=1, performers=1, replications=1)).values())
    sample = SampleName(1, 1, 1, 1, 1)
    scene = perform("drink", 1, 1)
    assert film(scene, sample, seed=0) != film(scene, sample._replace(camera=2), seed=0)


def test_make_demo_writes_arrays_of_both_splits(tmp_path: Path, small: dict[str, int]) -> None:
    out = make_demo(tmp_path / "new" / "demo", **small)
    for benchmark, train, val in (("xsub", {1, 2}, {3}), ("xview", {2, 3}, {1})):
        for part, expected in (("train", train), ("val", val)):
            data = np.load(out / benchmark / f"{part}_data_joint.npy")
            names, labels = pickle.loads((out / benchmark / f"{part}_label.pkl").read_bytes())
            field = "performer" if benchmark == "xsub" else "camera"
            assert {getattr(parse_name(name), field) for name in names} == expected
            assert set(labels) == {0, 1}
            assert data.shape == (len(names), 3, 300, 25, 2)
            lengths = load_lengths(out / benchmark / f"{part}_data_joint.npy")
            assert lengths is not None
            assert ((lengths >= 30) & (lengths <= 80)).all(), "recordings have 45 to 80 frames, some of them lost"
            second = data[..., 1].any(axis=(1, 2, 3))
            assert second[np.array(labels) == 1].all(), "two shake hands"
    prepared = load_prepared(out / "xsub" / "train_data_joint.npy")
    assert prepared is not None
    assert prepared.made["script"] == "demo_gendata.py"
    assert prepared.made["options"]["seed"] == small.get("seed", 0)
    assert [path.name for path in out.parent.iterdir()] == ["demo"]


def test_a_finished_demo_is_kept_and_the_seed_makes_the_same(
    tmp_path: Path, small: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_demo(tmp_path / "a", **small), make_demo(tmp_path / "b", **small)
    assert contents(first) == contents(second)
    monkeypatch.setattr(demo_gendata, "preprocess", None)  # whoever converts now fails
    assert make_demo(first, **small) == first
    with pytest.raises(TypeError):
        make_demo(tmp_path / "c", **small)


def test_an_interrupted_call_leaves_nothing(
    tmp_path: Path, small: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(demo_gendata, "preprocess", stop)
        with pytest.raises(KeyboardInterrupt):
            make_demo(tmp_path / "demo", **small)
    assert not list(tmp_path.iterdir())
    assert (make_demo(tmp_path / "demo", **small) / "demo.json").is_file()


def test_what_a_killed_call_left_is_swept_later(tmp_path: Path, small: dict[str, int]) -> None:
    old, fresh = tmp_path / ".demo-old", tmp_path / ".demo-fresh"
    for folder in (old, fresh):
        (folder / "demo").mkdir(parents=True)
    os.utime(old, (0, 0))
    make_demo(tmp_path / "demo", **small)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".demo-fresh", "demo"]


def test_another_folder_is_never_touched(tmp_path: Path, small: dict[str, int]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match=r"mine: this folder is not the demo of .* choose another --out_folder"):
        make_demo(tmp_path / "mine", **small)
    assert contents(tmp_path / "mine") == {"thesis.txt": b"years of work"}
    (tmp_path / "empty").mkdir()
    demo = make_demo(tmp_path / "empty", **small)
    with pytest.raises(ValueError, match="not the demo of version 2, seed 7"):
        make_demo(demo, seed=7, **small)


def test_the_command_line_says_what_it_made(tmp_path: Path, small: dict[str, int]) -> None:
    report = demo_gendata.main(["--out-folder", str(tmp_path / "demo"), "--seed", "2", "--num_worker", "1"])
    assert f"{tmp_path / 'demo'}: 120 synthetic recordings (wave, shake hands)" in str(report)
