"""Streams, windows and clips: equal to what generated files hold, to torch, and to plain loops."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from data_gen.ntu_gen_bones import gen_bones
from data_gen.ntu_merge_joint_bones import merge_joint_bones
from feeders import augment
from feeders.feeder import Feeder
from feeders.presence import recorded
from feeders.streams import STREAMS, bones, derive
from graph.ntu_rgb_d import SKELETON as NTU
from model.st_tr import Model
from processor.engine.data import Loader
from processor.engine.evaluate import evaluate
from processor.engine.fit import check_fit

N, C, T, V, M = 5, 3, 40, 25, 2
SKELETON = """
name: cross
joints: [head, Left hand, Right hand, foot]
bones: [[head, foot], [Left hand, head], [Right hand, head]]
center: foot
"""


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    x = np.random.default_rng(0).standard_normal((N, C, T, V, M)).astype(np.float32)
    x[:, :, 30:] = 0
    x[:, :, :10, :, 1] = 0
    return write(tmp_path, x)


def write(folder: Path, x: np.ndarray) -> dict[str, str]:
    np.save(folder / "val_data_joint.npy", x)
    (folder / "l.pkl").write_bytes(pickle.dumps(([f"s{i}" for i in range(len(x))], [i % 2 for i in range(len(x))])))
    return {"data_path": str(folder / "val_data_joint.npy"), "label_path": str(folder / "l.pkl")}


def samples(paths: dict[str, str], **args: Any) -> np.ndarray:
    feeder = Feeder(**paths, **args)
    return np.stack([feeder[i][0].numpy() for i in range(len(feeder))])


AUGMENTED: dict[str, Any] = {
    "window_size": 16, "random_choose": True, "random_shift": True, "random_move": True, "mirroring": True,
    "normalization": True, "random_rotation": [9, 9, 9], "random_scaling": [0.5, 2], "joint_jitter": 0.1,
}  # fmt: skip


@pytest.mark.parametrize("args", [{}, AUGMENTED], ids=["plain", "augmented"])
def test_streams_are_what_a_generated_file_would_give(paths: dict[str, str], args: dict[str, Any]) -> None:
    folder = Path(paths["data_path"]).parent
    gen_bones(folder)
    merge_joint_bones(folder)
    for stream, name in (("bone", "bone"), ("joint+bone", "joint_bones")):
        generated = {**paths, "data_path": str(folder / f"val_data_{name}.npy")}
        np.testing.assert_array_equal(samples(paths, stream=stream, **args), samples(generated, **args))


def test_motion_is_the_way_to_the_next_frame(paths: dict[str, str]) -> None:
    for stream, of in (("joint_motion", "joint"), ("bone_motion", "bone")):
        x = samples(paths, stream=of)
        expected = np.zeros_like(x)
        for t in range(T - 1):
            expected[:, :, t] = x[:, :, t + 1] - x[:, :, t]
        np.testing.assert_array_equal(samples(paths, stream=stream), expected)


def test_streams_stand_beside_each_other(paths: dict[str, str]) -> None:
    names = ("joint", "bone", "joint_motion", "bone_motion")
    np.testing.assert_array_equal(
        samples(paths, stream="+".join(names)), np.concatenate([samples(paths, stream=name) for name in names], axis=1)
    )


@pytest.mark.parametrize("person", ["first", "mean"])
def test_bones_and_motion_know_no_place(paths: dict[str, str], person: str) -> None:
    """Joints are centred before anything is made of them: the centre's own bone and motion are not subtracted."""
    there = samples(paths).any(axis=(1, 3), keepdims=True)
    stays = np.concatenate([there[:, :, 1:] == there[:, :, :-1], there[:, :, :1]], axis=2)  # nobody comes or goes
    for stream in ("bone", "joint_motion", "bone_motion"):
        centred = samples(paths, stream=stream, center=3, center_person=person)
        keep = stays | (stream == "bone")
        np.testing.assert_allclose(centred * keep, samples(paths, stream=stream) * keep, atol=1e-6)
        assert not np.array_equal(centred, 0 * centred)
    whole = samples(paths, stream="joint+bone", center=3, center_person=person)
    np.testing.assert_array_equal(whole[:, :C], samples(paths, center=3, center_person=person))


def test_normalization_is_of_the_centred(paths: dict[str, str]) -> None:
    x = samples(paths, stream="joint+bone", center=3, normalization=True)
    there = x.any(axis=(1, 3))  # (N, T, M)
    rows = x.transpose(0, 2, 4, 1, 3)[there]
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-5)


def test_windows_see_no_motion_into_what_fills_the_array_up(tmp_path: Path) -> None:
    recorded = np.random.default_rng(0).standard_normal((1, C, 30, V, 1)).astype(np.float32)
    expected = np.diff(recorded, axis=2)
    for filled in (np.pad(recorded, ((0, 0), (0, 0), (0, 30), (0, 0), (0, 0))), np.tile(recorded, (1, 1, 3, 1, 1))):
        y = samples(write(tmp_path, filled), stream="joint_motion", sampling="even", window_size=30)
        np.testing.assert_array_equal(y[:, :, :-1], expected)
        assert not y[:, :, -1].any()


def test_a_skeleton_beside_the_array_gives_bones_and_sides(tmp_path: Path) -> None:
    paths = write(tmp_path, np.random.default_rng(0).standard_normal((N, C, T, 4, 1)).astype(np.float32))
    (tmp_path / "skeleton.yaml").write_text(SKELETON)
    x = np.load(paths["data_path"])
    parents = [3, 0, 0, 3]
    np.testing.assert_array_equal(samples(paths, stream="bone"), x - x[:, :, :, parents])
    assert Feeder(**paths, mirroring=True).partner == (0, 2, 1, 3)
    (tmp_path / "skeleton.yaml").write_text(SKELETON.replace("Left hand", "a").replace("Right hand", "b"))
    with pytest.raises(ValueError, match=r"mirroring: the joints of .* have no left and right"):
        Feeder(**paths, mirroring=True)


@pytest.mark.parametrize("stream", [*STREAMS, "joint+bone"])
def test_windows_take_nothing_of_the_repetitions_that_fill_an_array(tmp_path: Path, stream: str) -> None:
    (tmp_path / "filled").mkdir()
    short = np.random.default_rng(0).standard_normal((1, C, 17, V, M)).astype(np.float32)
    short[..., 1] *= 0
    filled = short.take(np.arange(T) % 17, axis=2)
    recorded = derive(short[0], stream, NTU.parents)
    np.testing.assert_array_equal(
        samples(write(tmp_path / "filled", filled), stream=stream, sampling="even", window_size=9),
        augment.even_frames(recorded, 9)[None],
    )


def test_nothing_but_repetitions_is_left_out() -> None:
    x = np.random.default_rng(0).standard_normal((C, 17, V, M)).astype(np.float32)
    there = np.ones((17, M), bool)
    assert recorded(x, there) == (0, 17)
    for changed in ((0, 30, 3, 0), (2, 16, 24, 1), (1, 33, 0, 1)):  # one number of what would be a repetition
        again = np.concatenate([x, x], axis=1)
        assert recorded(again, np.concatenate([there, there])) == (0, 17)
        again[changed] += 1
        assert recorded(again, np.concatenate([there, there])) == (0, 34)


def test_mirrored_joints_in_the_plane_have_mirrored_bones(tmp_path: Path) -> None:
    paths = write(tmp_path, np.random.default_rng(0).standard_normal((N, 2, T, V, 1)).astype(np.float32))
    x = samples(paths, stream="joint+bone", mirroring=True)
    np.testing.assert_allclose(x[:, 2:], bones(x[:, :2], NTU.parents), atol=1e-6)


@pytest.mark.parametrize("size", [7, 30, 64])
def test_resizing_is_torchs_linear_interpolation(size: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((C, 30, V, M)).astype(np.float32)
    for share in (1.0, 0.5, 0.95):
        cut = int((1 - share) * 30 / 2)
        rows = torch.from_numpy(x[:, cut : 30 - cut]).permute(0, 2, 3, 1).flatten(1, 2)
        expected = (
            F.interpolate(rows, size, mode="linear", align_corners=False).unflatten(1, (V, M)).permute(0, 3, 1, 2)
        )
        np.testing.assert_allclose(augment.crop_resize(x, size, [share], rng), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("frames", [1, 20, 64, 100, 300])
def test_a_drawn_part_is_anywhere_and_not_too_short(frames: int) -> None:
    x = np.broadcast_to(np.arange(frames, dtype=np.float32)[None, :, None, None], (1, frames, 1, 1))
    spans = set()
    for seed in range(200):
        y = augment.crop_resize(x, 1000, [0.5, 1.0], np.random.default_rng(seed))[0, :, 0, 0]
        spans.add((round(float(y[0])), round(float(y[-1])) + 1))
    lengths = {end - begin for begin, end in spans}
    assert min(lengths) >= min(frames, max(64, frames // 2))
    assert max(lengths) <= frames
    assert min(begin for begin, _ in spans) == 0
    assert max(end for _, end in spans) == frames
    assert len(lengths) > 20 or frames <= 64


@pytest.mark.parametrize("frames", [1, 5, 16, 20, 31, 32, 100])
def test_uniform_frames_equal_the_loop(frames: int) -> None:
    size = 16
    x = np.arange(frames, dtype=np.float32).reshape(1, frames, 1, 1)
    seen = set()
    for seed in range(50):
        drawn = augment.uniform_frames(x, size, np.random.default_rng(seed))[0, :, 0, 0].astype(int).tolist()
        assert len(drawn) == size
        seen.add(tuple(drawn))
        for i, frame in enumerate(drawn):
            if frames < size:  # round and round
                assert frame == (drawn[0] + i) % frames
            elif frames < 2 * size:  # none twice, none left out more often than there are too many
                assert frame == i + sum(left not in drawn for left in range(frame))
            else:  # one of each stretch
                assert i * frames // size <= frame < (i + 1) * frames // size
    assert len(seen) > 1 or frames in (1, size)


def test_jitter_is_noise_where_somebody_is(paths: dict[str, str]) -> None:
    x, y = samples(paths), samples(paths, joint_jitter=0.1)
    there = np.broadcast_to(x.any(axis=(1, 3), keepdims=True), x.shape)
    np.testing.assert_array_equal(y[~there], 0)
    assert (y - x)[there].std() == pytest.approx(0.1, rel=0.05)
    assert abs((y - x)[there].mean()) < 0.01


def test_clips_of_a_sample_are_drawn_anew_and_scored_together(paths: dict[str, str]) -> None:
    args: dict[str, Any] = {"window_size": 8, "sampling": "uniform", "num_clips": 3}
    clips = samples(paths, **args)
    assert clips.shape == (N, 3, C, 8, V, M)
    assert not np.array_equal(clips[:, 0], clips[:, 1])
    np.testing.assert_array_equal(clips, samples(paths, **args))

    class Scorer(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=(2, 3, 4))

    loader = Loader(Feeder(**paths, **args), batch_size=2, workers=0, device=torch.device("cpu"))
    scores = evaluate(Scorer(), loader, torch.device("cpu"), "float32").scores
    np.testing.assert_allclose(scores, clips.mean(axis=(1, 3, 4, 5)), atol=1e-6)
    model = Model(num_class=2, channels=[8, 8, 8], Nh=2)
    check_fit(Feeder(**paths, **args), model, "test")
    with pytest.raises(ValueError, match="num_clips is for tests"):
        check_fit(Feeder(**paths, **args), model, "train")


@pytest.mark.parametrize("stream", [*STREAMS, "joint+bone"])
@pytest.mark.parametrize("sampling", ["even", "random", "uniform", "resize"])
def test_an_empty_sample_stays_empty(tmp_path: Path, stream: str, sampling: str) -> None:
    paths = write(tmp_path, np.zeros((1, C, T, V, M), np.float32))
    y = samples(paths, stream=stream, sampling=sampling, window_size=6, joint_jitter=1.0)
    assert y.shape == (1, 2 * C if stream == "joint+bone" else C, 6, V, M)
    assert not y.any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stream": "joint+bones"}, "stream: 'bones' is none of joint, bone"),
        ({"sampling": "even", "random_choose": True, "window_size": 4}, "random_choose: .* drop one"),
        ({"p_interval": [0.5, 1.5]}, "p_interval: "),
        ({"p_interval": [0.9, 0.5]}, "p_interval: "),
        ({"p_interval": []}, "p_interval: "),
        ({"num_clips": 0}, "num_clips: "),
        ({"num_clips": 2, "window_size": 4, "sampling": "even"}, "num_clips: 2 windows are drawn by"),
        ({"num_clips": 2, "window_size": 4, "sampling": "resize"}, "num_clips: "),
        ({"joint_jitter": -1.0}, "joint_jitter: "),
    ],
)
def test_mistakes_are_named(paths: dict[str, str], wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Feeder(**paths, **wrong)


def test_arrays_that_do_not_fit_are_refused_with_the_numbers(tmp_path: Path) -> None:
    paths = write(tmp_path, np.zeros((2, 4, T, V, M), np.float32))
    with pytest.raises(ValueError, match=r"random_rotation: turns x, y and z, .*val_data_joint\.npy has 4 channels"):
        Feeder(**paths, random_rotation=(9, 9, 9))
    Path(paths["label_path"]).write_bytes(pickle.dumps((["a", "b"], [3, -1])))
    with pytest.raises(ValueError, match=r"l\.pkl: the label -1 of 'b' is negative"):
        Feeder(**paths)
    Path(paths["label_path"]).write_bytes(pickle.dumps((["a", "b"], [3, 0.5])))
    with pytest.raises(ValueError, match=r"l\.pkl: labels must be 2 whole numbers"):
        Feeder(**paths)
