"""The feeder reads what is on disk, and its augmentations equal plain loops and are reproducible."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import hypothesis
import numpy as np
import pytest
import slow_reference as slow
import torch
from hypothesis import strategies as st

from feeders import augment
from feeders.feeder import Feeder
from graph.ntu_rgb_d import SKELETON
from processor.engine.data import Loader

N, C, T, V, M = 7, 3, 12, 25, 2


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def sample(rng: np.random.Generator) -> np.ndarray:
    """A sample whose frames 0, 1 and 10, 11 are empty, and whose second person comes at frame 6."""
    x = rng.standard_normal((C, T, V, M)).astype(np.float32)
    x[:, [0, 1, 10, 11]] = np.nan
    x[:, :6, :, 1] = np.nan
    return x


@pytest.fixture
def paths(tmp_path: Path, rng: np.random.Generator) -> dict[str, str]:
    np.save(tmp_path / "data.npy", rng.standard_normal((N, C, T, V, M)).astype(np.float32))
    names = [f"S001C001P001R001A{i:03}.skeleton" for i in range(N)]
    (tmp_path / "label.pkl").write_bytes(pickle.dumps((names, list(range(N))), protocol=2))
    return {"data_path": str(tmp_path / "data.npy"), "label_path": str(tmp_path / "label.pkl")}


def test_without_options_samples_are_those_of_the_file(paths: dict[str, str]) -> None:
    data = np.load(paths["data_path"])
    for mmap in (True, False):
        feeder = Feeder(**paths, mmap=mmap)
        assert isinstance(feeder.data, np.memmap) == mmap
        x, label, index = feeder[3]
        np.testing.assert_array_equal(x.numpy(), data[3])
        assert (label, index, feeder.sample_name[3]) == (3, 3, "S001C001P001R001A003.skeleton")


def test_random_choose_takes_successive_frames_from_everywhere(sample: np.ndarray, rng: np.random.Generator) -> None:
    begins = set()
    for _ in range(100):
        window = augment.random_choose(sample, 9, rng)
        (begin,) = [b for b in range(4) if np.array_equal(window, sample[:, b : b + 9], equal_nan=True)]
        begins.add(begin)
    assert begins == {0, 1, 2, 3}


def test_random_choose_places_a_short_sample_among_empty_frames(sample: np.ndarray, rng: np.random.Generator) -> None:
    begins = set()
    for _ in range(100):
        window = augment.random_choose(sample[:, 2:10], 10, rng)
        (begin,) = [b for b in range(3) if np.array_equal(window[:, b : b + 8], sample[:, 2:10], equal_nan=True)]
        assert np.count_nonzero(~np.isnan(window)) == np.count_nonzero(~np.isnan(sample))
        begins.add(begin)
    assert begins == {0, 1, 2}


def test_random_shift_moves_the_valid_frames(sample: np.ndarray, rng: np.random.Generator) -> None:
    begins = set()
    for _ in range(100):
        shifted = augment.random_shift(sample, rng)
        (present,) = np.nonzero(~np.isnan(shifted).all(axis=(0, 2, 3)))
        np.testing.assert_array_equal(shifted[:, present], sample[:, 2:10])
        begins.add(int(present[0]))
    assert begins == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("frames", [1, T])
def test_random_move_equals_the_loop(sample: np.ndarray, frames: int) -> None:
    x = np.nan_to_num(sample[:, :frames])
    draw = np.random.default_rng(5)
    drawn = [draw.choice(c, 2) for c in ((-10, -5, 0, 5, 10), (0.9, 1, 1.1), *[(-0.2, -0.1, 0, 0.1, 0.2)] * 2)]
    expected = slow.random_move(x.astype(np.float64), *drawn)
    moved = augment.random_move(x, np.random.default_rng(5))
    np.testing.assert_allclose(moved, expected, atol=1e-5)
    assert moved.dtype == np.float32


def test_min_max_equals_the_loop_and_leaves_the_absent(sample: np.ndarray) -> None:
    y = augment.min_max(sample)
    np.testing.assert_allclose(np.nan_to_num(y), slow.min_max(np.nan_to_num(sample)), atol=1e-5)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(sample))
    assert np.nanmin(y) == -1
    assert np.nanmax(y) == 1


def test_center_puts_the_joint_of_the_first_valid_frame_at_zero(sample: np.ndarray) -> None:
    y = augment.center(sample, 1)
    np.testing.assert_array_equal(y[:, 2, 1, 0], 0)
    np.testing.assert_allclose(y[:, 5, 7, 0], sample[:, 5, 7, 0] - sample[:, 2, 1, 0])
    np.testing.assert_array_equal(np.isnan(y), np.isnan(sample))


def test_center_of_persons_is_the_mean_of_those_in_the_first_valid_frame(sample: np.ndarray) -> None:
    sample[:, 2, :, 1] = sample[:, 6, :, 1]
    y = augment.center(sample, 1, person="mean")
    np.testing.assert_allclose(y[:, 2, 1].mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(augment.center(sample[..., ::-1], 1, person="mean"), y[..., ::-1], atol=1e-6)
    alone = sample.copy()
    alone[..., 1] = np.nan
    np.testing.assert_array_equal(augment.center(alone, 1, person="mean"), augment.center(alone, 1))


def test_center_leaves_a_sample_without_anybody(sample: np.ndarray) -> None:
    for person in ("first", "mean"):
        assert np.isnan(augment.center(np.full_like(sample, np.nan), 1, person=person)).all()


def test_rotation_keeps_lengths_and_turns_about_the_axis_asked_for(
    sample: np.ndarray, rng: np.random.Generator
) -> None:
    y = augment.random_rotation(sample, [60, 60, 60], rng)
    np.testing.assert_allclose(np.linalg.norm(y, axis=0), np.linalg.norm(sample, axis=0), atol=1e-5)
    about_y = augment.random_rotation(sample, [0, 60, 0], rng)
    np.testing.assert_allclose(about_y[1], sample[1], atol=1e-6)
    assert np.nanmax(np.abs(about_y[0] - sample[0])) > 0.01
    unit_x = np.zeros((3, 1, 1, 1), np.float32)
    unit_x[0] = 1
    both = augment.random_rotation(np.concatenate([unit_x, 2 * unit_x]), [0, 0, 60], rng)  # joints and bones alike
    np.testing.assert_allclose(both[3:], 2 * both[:3], atol=1e-6)


def test_mirror_is_its_own_inverse_and_exchanges_the_hands(sample: np.ndarray) -> None:
    y = augment.mirror(sample, SKELETON.partners)
    left, right = SKELETON.joints.index("left hand"), SKELETON.joints.index("right hand")
    np.testing.assert_array_equal(y[0, :, left], -sample[0, :, right])
    np.testing.assert_array_equal(y[1:, :, left], sample[1:, :, right])
    np.testing.assert_array_equal(augment.mirror(y, SKELETON.partners), sample)


def test_even_and_random_frames_span_the_valid_ones(sample: np.ndarray, rng: np.random.Generator) -> None:
    valid = sample[:, 2:10]
    even = augment.even_frames(valid, 4)
    np.testing.assert_array_equal(even, valid[:, [0, 2, 4, 7]])
    seen = set()
    for size in (4, 8, 20):
        for _ in range(30):
            chosen = augment.random_frames(valid, size, rng)
            same = [[np.array_equal(f, g, equal_nan=True) for g in valid.swapaxes(0, 1)] for f in chosen.swapaxes(0, 1)]
            places = [row.index(True) for row in same]
            assert places == sorted(places)
            assert all(i * 8 // size <= t <= (i + 1) * 8 / size for i, t in enumerate(places))
            seen.add(tuple(places))
    assert len(seen) > 20


def test_an_empty_sample_passes_through_everything(paths: dict[str, str]) -> None:
    np.save(paths["data_path"], np.zeros((N, C, T, V, M), np.float32))
    feeder = Feeder(
        **paths, sampling="random", window_size=5, center=1, min_max=True, random_rotation=[9, 9, 9],
        random_scaling=[0.5, 1.5], mirroring=True, normalization=True,
    )  # fmt: skip
    assert feeder[0][0].shape == (C, 5, V, M)
    assert not feeder[0][0].any()


def test_normalization_gives_every_joint_mean_zero_and_deviation_one(paths: dict[str, str]) -> None:
    feeder = Feeder(**paths, normalization=True)
    x = torch.stack([feeder[i][0] for i in range(N)])
    torch.testing.assert_close(x.mean(dim=(0, 2, 4)), torch.zeros(C, V), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(dim=(0, 2, 4), unbiased=False), torch.ones(C, V), atol=1e-4, rtol=0)


def test_normalization_leaves_the_absent_empty(paths: dict[str, str], sample: np.ndarray) -> None:
    data = np.load(paths["data_path"])
    data[0] = np.nan_to_num(sample)
    np.save(paths["data_path"], data)
    x = Feeder(**paths, normalization=True)[0][0].numpy()
    np.testing.assert_array_equal(x.any(axis=(0, 2)), ~np.isnan(sample).all(axis=(0, 2)))


def test_window_without_random_choose_takes_the_first_frames(paths: dict[str, str]) -> None:
    full = Feeder(**paths)[0][0]
    torch.testing.assert_close(Feeder(**paths, window_size=5)[0][0], full[:, :5])
    longer = Feeder(**paths, window_size=20)[0][0]
    torch.testing.assert_close(longer[:, :T], full)
    assert not longer[:, T:].any()


def test_debug_keeps_the_first_hundred(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.zeros((130, 1, 1, 1, 1), np.float32))
    (tmp_path / "l.pkl").write_bytes(pickle.dumps(([str(i) for i in range(130)], [0] * 130)))
    assert len(Feeder(str(tmp_path / "d.npy"), str(tmp_path / "l.pkl"), debug=True)) == 100


AUGMENTED: dict[str, Any] = {
    "random_choose": True, "window_size": 8, "random_shift": True, "random_move": True, "mirroring": True,
}  # fmt: skip


def batches(paths: dict[str, str], *, epoch: int, workers: int, seed: int = 0) -> list[torch.Tensor]:
    loader = Loader(
        Feeder(**paths, **AUGMENTED, seed=seed), batch_size=3, workers=workers, device=torch.device("cpu"), seed=seed
    )  # fmt: skip
    list(loader.epoch(0))  # workers that live on must follow
    return [torch.cat([x.flatten(1), index[:, None]], dim=1) for x, _, index in loader.epoch(epoch)]


def test_augmentations_follow_seed_and_epoch_and_not_the_workers(paths: dict[str, str]) -> None:
    first = batches(paths, epoch=1, workers=0)
    for workers in (1, 2):
        for a, b in zip(first, batches(paths, epoch=1, workers=workers), strict=True):
            assert torch.equal(a, b)
    order = {tuple(x[:, -1].tolist()) for x in first}
    assert order != {tuple(x[:, -1].tolist()) for x in batches(paths, epoch=2, workers=0)}
    of_sample_0 = [
        next(row[:-1] for x in batches(paths, epoch=e, workers=0, seed=s) for row in x if row[-1] == 0)
        for e, s in ((1, 0), (2, 0), (1, 1))
    ]
    assert not torch.equal(of_sample_0[0], of_sample_0[1])
    assert not torch.equal(of_sample_0[0], of_sample_0[2])


def test_samples_are_counted_from_the_end_too(paths: dict[str, str]) -> None:
    feeder = Feeder(**paths, joint_jitter=0.1)
    x, label, index = feeder[-2]
    assert (label, index) == (feeder.label[N - 2], N - 2)
    assert torch.equal(x, feeder[N - 2][0])
    with pytest.raises(IndexError):
        feeder[N]
    assert len([*feeder]) == N  # type: ignore[misc]


def test_a_subclass_hides_joints_and_has_choices_of_its_own(paths: dict[str, str], sample: np.ndarray) -> None:
    """What a step of one's own makes NaN is missing, whether or not files tell about the array."""

    @dataclass(eq=False)
    class Mine(Feeder):
        sampling: Literal["crop", "even", "backwards"] = "crop"  # type: ignore[assignment]
        side: Literal["left", "right"] = "left"

        def transform(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            x = super().transform(x, rng).copy()
            x[:, :, 3] = np.nan
            return x

        def _window(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            return x[:, ::-1] if self.sampling == "backwards" else super()._window(x, rng)

    plain = Feeder(**paths)[0][0].numpy()
    plain[:, :, 3] = 0
    np.testing.assert_array_equal(Mine(**paths)[0][0], plain)
    np.testing.assert_array_equal(Mine(**paths, sampling="backwards", window_size=T)[0][0], plain[:, ::-1])
    with pytest.raises(ValueError, match="side: 'up' must be 'left' or 'right'"):
        Mine(**paths, side="up")  # type: ignore[arg-type]


def test_a_subclass_may_annotate_what_only_a_type_checker_imports(paths: dict[str, str]) -> None:
    class Mine(Feeder):
        kept: OnlyForTypeCheckers  # type: ignore[name-defined]  # noqa: F821

    np.testing.assert_array_equal(Mine(**paths)[0][0], Feeder(**paths)[0][0])
    with pytest.raises(ValueError, match="window_size: '4' must be a whole number"):
        Mine(**paths, window_size="4")  # type: ignore[arg-type]


def test_clips_share_no_numbers(paths: dict[str, str], sample: np.ndarray) -> None:
    """Also where a step works in place."""
    np.save(paths["data_path"], np.nan_to_num(sample)[None].repeat(N, axis=0))

    @dataclass(eq=False)
    class Halved(Feeder):
        def transform(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            x /= 2
            return super().transform(x, rng)

    for args in ({"sampling": "resize", "p_interval": (0.9, 1.0), "min_crop": 8}, {"sampling": "even"}):
        options: dict[str, Any] = {"mirroring": True, "random_rotation": (0, 9, 0), "window_size": 8, "num_clips": 3}
        clips, halved = (kind(**paths, **args, **options)[0][0].numpy() for kind in (Feeder, Halved))
        np.testing.assert_allclose(halved, clips / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "args"), [("[score, a]", {"center": 1}), ("[x, score]", {"random_move": True})], ids=["center", "move"]
)
def test_geometry_without_coordinates_is_refused(paths: dict[str, str], names: str, args: dict[str, Any]) -> None:
    np.save(paths["data_path"], np.ones((N, 2, T, V, M), np.float32))
    Path(paths["data_path"]).with_name("prepared.yaml").write_text(f"channels: {{names: {names}}}")
    with pytest.raises(ValueError, match=f"{next(iter(args))}: .* holds no x and y; drop it"):
        Feeder(**paths, **args)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_sample_that_is_not_finite_is_named(paths: dict[str, str], wrong: float) -> None:
    data = np.load(paths["data_path"])
    data[4, 2, 7, 3, 1] = wrong
    np.save(paths["data_path"], data)
    feeder = Feeder(**paths)
    assert torch.isfinite(feeder[3][0]).all()
    with pytest.raises(ValueError, match=r"data\.npy: the sample 'S001C001P001R001A004.skeleton' holds NaN or inf"):
        feeder[4]


def test_a_mapped_feeder_is_pickled_without_its_data(paths: dict[str, str]) -> None:
    feeder = Feeder(**paths, debug=True)
    content = pickle.dumps(feeder)
    assert len(content) < 5000 < feeder.data.nbytes
    copy = pickle.loads(content)
    assert isinstance(copy.data, np.memmap)
    assert torch.equal(copy[2][0], feeder[2][0])
    in_memory = Feeder(**paths, mmap=False)
    assert torch.equal(pickle.loads(pickle.dumps(in_memory))[2][0], feeder[2][0])


def test_mistakes_are_named(paths: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sampling: 'evn' must be 'crop' or 'even' or 'random'"):
        Feeder(**paths, sampling="evn")
    for wrong in (
        {"center": 25},
        {"center_person": "last"},
        {"random_scaling": (2, 1)},
        {"random_rotation": (-1, 0, 0)},
        {"window_size": 0},
    ):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}: "):
            Feeder(**paths, **wrong)
    with pytest.raises(ValueError, match="window_size: -1"):
        Feeder(**paths, random_choose=True)
    (tmp_path / "two.pkl").write_bytes(pickle.dumps((["a", "b"], [0, 1])))
    with pytest.raises(ValueError, match=r"holds 7 samples, .* 2 labels"):
        Feeder(paths["data_path"], str(tmp_path / "two.pkl"))
    (tmp_path / "cut.npy").write_bytes(Path(paths["data_path"]).read_bytes()[:200])
    with pytest.raises(ValueError, match=r"cut\.npy is not a complete"):
        Feeder(str(tmp_path / "cut.npy"), paths["label_path"])
    np.save(tmp_path / "flat.npy", np.zeros(5))
    with pytest.raises(ValueError, match=r"flat\.npy holds an array"):
        Feeder(str(tmp_path / "flat.npy"), paths["label_path"])
    np.save(tmp_path / "odd.npy", np.zeros((N, C, T, 7, M)))
    with pytest.raises(ValueError, match="7 joints are those of no known skeleton"):
        Feeder(str(tmp_path / "odd.npy"), paths["label_path"], mirroring=True)


@hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(
    target=st.sampled_from(["data_path", "label_path"]),
    length=st.integers(0, 2000),
    edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
)
def test_damaged_files_are_refused_or_whole(
    paths: dict[str, str], target: str, length: int, edits: list[tuple[int, int]]
) -> None:
    whole = Path(paths[target]).read_bytes()
    content = bytearray(whole[:length] if length < 1500 else whole)
    for place, byte in edits:
        content[place : place + 1] = bytes([byte])
    path = Path(paths[target]).with_name("damaged")
    path.write_bytes(content)
    try:
        feeder = Feeder(**{**paths, target: str(path)})
    except ValueError:
        return  # anything else is a traceback from inside
    assert len(feeder) == N
    assert feeder[0][0].shape[0] >= 1


@pytest.mark.parametrize("axis", [1, 2, 3, 4])
def test_an_array_of_empty_samples_is_refused(paths: dict[str, str], axis: int) -> None:
    shape = [N, C, T, V, M]
    shape[axis] = 0
    np.save(paths["data_path"], np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="its samples are empty; make it again"):
        Feeder(**paths)
