"""What a prepared folder holds is told as a plain loop finds it, and skeletons are drawn where they are."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.image import imread
from PIL import Image

from data_gen.check import check, main
from data_gen.common import contents as module
from data_gen.common.contents import scan
from data_gen.common.pictures import LEFT, MOST_FRAMES, NUM_FRAME, RIGHT, animate, draw
from data_gen.ucla_gendata import gendata
from feeders.arrays import pack_missing
from graph.channels import Channels
from graph.common.yaml_text import dump
from graph.nw_ucla import SKELETON


def write(path: Path, array: np.ndarray, labels: Sequence[int] | None = None, names: Sequence[str] = ()) -> np.ndarray:
    """`array` and, unless `labels` is empty, `{part}_label.pkl` beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    part = path.name.split("_")[0]
    labels = [0] * len(array) if labels is None else list(labels)
    names = list(names) or [f"{part} {number}" for number in range(len(labels))]
    if labels:
        path.with_name(f"{part}_label.pkl").write_bytes(pickle.dumps((names, labels)))
    return array


def moves(seed: int, N: int = 3, *, T: int = 6, V: int = 20, M: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, 3, T, V, M)).astype(np.float32)


def uneven(seed: int = 0, N: int = 12) -> np.ndarray:
    """Samples with gaps, late starts, absent persons, NaN and inf; number 3 is empty."""
    rng, x = np.random.default_rng(seed), moves(seed, N, T=9, V=4)
    x.transpose(0, 2, 4, 1, 3)[rng.random((N, 9, 2)) < 0.5] = 0
    x[5, 1, 4, 2, 0], x[6, 0, 8, 0, 1], x[6, 2, 1, 1, 0] = np.nan, np.inf, -np.inf
    x[3], x[4, ..., 0] = 0, 0
    return x


@pytest.mark.parametrize("chunk_bytes", [1, 3000, 1 << 20])
def test_an_array_is_read_as_a_plain_loop_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    x = write(tmp_path / "train_data.npy", uneven())
    monkeypatch.setattr(module, "_CHUNK_BYTES", chunk_bytes)
    found = scan(tmp_path / "train_data.npy")
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for n, sample in enumerate(x):
        frames = [t for t in range(9) if sample[:, t].any()]
        assert found.num_frame[n] == (frames[-1] - frames[0] + 1 if frames else 0)
        assert found.num_person[n] == sum(bool(sample[..., m].any()) for m in range(2))
        assert found.is_finite[n] == (n not in (5, 6))
        for c, t, v, m in np.ndindex(sample.shape):
            if sample[:, t, :, m].any() and np.isfinite(sample[c, t, v, m]):
                low[c], high[c] = min(low[c], sample[c, t, v, m]), max(high[c], sample[c, t, v, m])
    assert len(set(found.num_frame)) > 3
    assert set(found.num_person) == {0, 1, 2}
    np.testing.assert_array_equal(found.low, low)
    np.testing.assert_array_equal(found.high, high)


def test_memory_holds_a_piece_of_an_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = write(tmp_path / "train_data.npy", moves(0, 2000, V=25, T=50))
    monkeypatch.setattr(module, "_CHUNK_BYTES", 1 << 20)
    tracemalloc.start()
    scan(tmp_path / "train_data.npy")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert x.nbytes > 50e6
    assert peak < 8e6


def test_a_folder_is_told_in_full(tmp_path: Path) -> None:
    x = write(tmp_path / "xsub" / "train_data_joint.npy", moves(0, 8), [4, 0, 0, 2, 2, 2, 0, 2])
    x[0, :, 1:] = 0
    x[1, ..., 1] = 0
    x[2] = x[6] = 0
    x[3, 1, 2, 3, 0] = np.nan
    x[5, :, 2, :, 1] = 0
    x[0, 0, 0, 0, 0] = -9
    np.save(tmp_path / "xsub" / "train_data_joint.npy", x)
    path = tmp_path / "xsub" / "train_data_joint.npy"
    report = main([str(tmp_path)])
    values = x.transpose(1, 0, 2, 3, 4)[:, [0, 1, 3, 4, 5, 7]].reshape(3, -1)
    low, high = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    assert report.notes == [
        f"{path}  (8, 3, 6, 20, 2)",
        "  classes  3, 0 to 4 (2 absent): 1 sample (class 4) to 4 (class 2)",
        "  frames   1 to 6 valid, median 6",
        "  persons  1 in 1 sample, 2 in 5 samples",
        "  values   " + ", ".join(f"{a:.4g} to {b:.4g}" for a, b in zip(low, high, strict=True)),
        "  absent   a person in 1 frame of 1 sample",
        "  empty    2: train 2, train 6",
        "  NaN, inf 1: train 3",
        f"{path.with_name('*_data_joint.npy')}: no two samples are the same",
    ]
    assert low[0] == -9
    picture = path.with_suffix(".png")
    moving = path.with_suffix(".gif")
    with Image.open(moving) as gif:
        assert report.written == {picture: imread(picture).shape[:2], moving: (gif.n_frames, gif.height, gif.width)}
        assert gif.n_frames == 6
    assert main([str(tmp_path)]) == report


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No skeletons are drawn."""
    monkeypatch.setattr("data_gen.check.DRAWN", ())


def about(folder: Path, channels: Channels, missing: np.ndarray | None, lengths: Sequence[int]) -> None:
    """What converters write beside `train_data_joint.npy`."""
    (folder / "prepared.yaml").write_text(dump({"channels": channels.as_mapping()}))
    np.save(folder / "train_length.npy", np.array(lengths, np.int32))
    if missing is not None:
        np.save(folder / "train_missing.npy", pack_missing(missing))


def told(folder: Path) -> dict[str, str]:
    lines = [line.strip() for line in check(folder).notes if line.startswith("  ")]
    return {line[:8].strip(): line[8:].strip() for line in lines}


@pytest.mark.usefixtures("undrawn")
def test_missing_joints_are_told_from_absent_persons(tmp_path: Path) -> None:
    x, missing = moves(0, 2) + 5, np.zeros((2, 6, 20, 2), bool)
    x[0, :, 2:5, :, 1] = 0  # absent in three frames
    missing[0, 1, 3, 0] = missing[1, 4, 7:9, 1] = True
    x.transpose(0, 2, 3, 4, 1)[missing] = 0
    write(tmp_path / "train_data_joint.npy", x)
    about(tmp_path, Channels(unit="metres"), missing, [6, 6])
    lines = told(tmp_path)
    assert lines["channels"] == "x, y, z in metres"
    assert lines["absent"] == "a person in 3 frames of 1 sample"
    assert lines["missing"] == "3 joints of 2 samples"
    assert lines["frames"] == "6 to 6 valid, median 6; 6 to 6 recorded, median 6"
    low = [x[:, c].min(where=x[:, c] != 0, initial=9) for c in range(3)]
    assert [part.split()[1] for part in lines["values"].split(", ")] == [f"{value:.4g}" for value in low]
    assert lines["values"].startswith("x ")
    (tmp_path / "train_missing.npy").unlink()
    assert told(tmp_path)["missing"] == "none"


@pytest.mark.usefixtures("undrawn")
def test_joints_outside_their_picture_are_counted(tmp_path: Path) -> None:
    x = np.full((3, 3, 4, 20, 1), 0.5, np.float32)
    x[0, 0, 1, 4] = 640.5
    x[0, 1, 2, 5] = -1
    x[1, 0, 0, :2] = 640  # on the border
    x[2, 2] = 700  # a score
    write(tmp_path / "train_data_joint.npy", x)
    about(tmp_path, Channels(("x", "y", "score"), "pixels", (640, 480)), None, [4] * 3)
    lines = told(tmp_path)
    assert lines["channels"] == "x, y, score in pixels of a picture of 640 x 480"
    assert lines["outside"] == "2 joints of 1 sample, of the picture"
    about(tmp_path, Channels(("x", "y", "score"), "pixels"), None, [4] * 3)
    assert "outside" not in told(tmp_path)


@pytest.mark.usefixtures("undrawn")
def test_lengths_that_do_not_fit_are_named(tmp_path: Path) -> None:
    x = moves(0, 5, T=9)
    x[0, :, 4:] = 0  # 4 recorded frames, padded
    x[1, :, 8:] = 0  # 5 recorded frames, repeated: the last one is a gap
    x[2, :, 6:] = 0  # 2 recorded frames, but numbers in 6
    x[3, :, :5] = 0  # nobody within the recorded frames
    write(tmp_path / "train_data_joint.npy", x)
    about(tmp_path, Channels(), None, [4, 5, 2, 5, 9])
    notes = check(tmp_path).notes
    assert "  train_length.npy does not fit 2: train 2, train 3" in notes
    np.save(tmp_path / "train_length.npy", np.array([4, 5, 6, 9, 9], np.int32))
    assert not any("does not fit" in note for note in check(tmp_path).notes)
    np.save(tmp_path / "train_length.npy", np.array([4, 5, 6, 9], np.int32))
    with pytest.raises(ValueError, match=r"train_length\.npy does not hold 5 lengths from 0 to 9"):
        check(tmp_path)


@pytest.mark.usefixtures("undrawn")
def test_samples_that_occur_twice_are_named(tmp_path: Path) -> None:
    train, val = moves(0, 8), moves(1, 12, T=9)
    train[5] = train[2]
    train[6] = train[7] = val[11] = 0  # the same, but nobody is there
    val[:8, :, 6:] = 0
    val[1:7, :, :6] = train[:6]
    val[9] = val[8]
    write(tmp_path / "train_data_joint.npy", train)
    write(tmp_path / "val_data_joint.npy", val)
    write(tmp_path / "train_data_bone.npy", moves(2, 8), [])
    write(tmp_path / "other" / "train_data_joint.npy", val)
    pairs = ", ".join(f"val {number} = train {number - 1}" for number in range(1, 6))
    lines = [line.removeprefix(str(tmp_path)) for line in check(tmp_path).notes if "number for number" in line]
    here, there = str(Path("/*_data_joint.npy")), str(Path("/other/*_data_joint.npy"))
    assert lines == [
        f"{there}: 2 of 12 samples of train are there before, number for number: train 6 = train 3, train 9 = train 8",
        f"{here}: 1 of 8 samples of train is there before, number for number: train 5 = train 2",
        f"{here}: 6 of 12 samples of val are in train too, number for number: {pairs} and 1 more",
        f"{here}: 1 of 12 samples of val is there before, number for number: val 9 = val 8",
    ]


@pytest.mark.usefixtures("undrawn")
def test_the_leak_of_nw_ucla_is_found(samples: Path, tmp_path: Path) -> None:
    gendata(samples / "nw_ucla" / "all_sqe", tmp_path)
    report = check(tmp_path)
    assert f"{tmp_path / '*_data_joint.npy'}: 95 of 464 samples of val are in train too" in report.notes[-1]
    assert "a02_s01_e00_v03.json = a02_s01_e00_v02.json" in report.notes[-1]


@pytest.mark.parametrize(
    ("array", "labels", "problem"),
    [
        (moves(0), [0, 1], r"train_data_joint\.npy holds 3 samples, .*train_label\.pkl 2 labels"),
        (moves(0), [], r"train_label\.pkl: the labels of train_data_joint\.npy are absent"),
        (np.zeros((3, 3)), [0], r"holds an array \(3, 3\) of float64, where \(N, C, T, V, M\) of floats is expected"),
        (moves(0, V=0), [0], r"has the shape \(3, 3, 6, 0, 2\): its samples are empty"),
        (moves(0), ["a", "b", "c"], "labels must be 3 whole numbers"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, array: np.ndarray, labels: list[Any], problem: str) -> None:
    write(tmp_path / "a" / "train_data_joint.npy", moves(0))
    write(tmp_path / "b" / "train_data_joint.npy", array, labels)
    with pytest.raises((ValueError, FileNotFoundError), match=f"^{re.escape(str(tmp_path / 'b'))}.*{problem}"):
        check(tmp_path)
    assert not list(tmp_path.rglob("*.png"))


def test_a_folder_without_arrays_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path}: no arrays such as train_data_joint.npy")):
        check(tmp_path)


def test_pictures_go_where_they_are_wanted_and_say_why_not(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a" / "val_data.npy", moves(0))
    write(tmp_path / "data" / "b" / "val_data_joint.npy", moves(0, V=21))
    write(tmp_path / "data" / "c" / "val_data_joint.npy", np.zeros((2, 3, 6, 20, 1), np.float32))
    write(tmp_path / "data" / "d" / "val_data_joint.npy", moves(0)[:, :1])
    report = main([str(tmp_path / "data"), "--pictures", str(tmp_path / "here")])
    assert list(report.written) == [tmp_path / "here" / "a" / f"val_data.{kind}" for kind in ("png", "gif")]
    assert {path for path in tmp_path.rglob("*") if path.suffix not in (".npy", ".pkl", "")} == set(report.written)
    unknown, *nothing = [line for line in report.notes if line.startswith("  no picture: ")]
    assert unknown.startswith("  no picture: 21 joints are those of no known skeleton")
    assert nothing == ["  no picture: no sample has positions to draw"] * 2


def test_a_described_skeleton_is_drawn(tmp_path: Path) -> None:
    skeleton = tmp_path / "arm.yaml"
    skeleton.write_text("name: arm\njoints: [neck, shoulder, elbow]\nbones: [[0, 1], [1, 2]]\ncenter: neck\n")
    write(tmp_path / "three" / "train_data_joint.npy", moves(0, V=3))
    write(tmp_path / "twenty" / "train_data_joint.npy", moves(0))
    report = main([str(tmp_path), "--skeleton", str(skeleton)])
    assert list(report.written) == [tmp_path / "three" / f"train_data_joint.{kind}" for kind in ("png", "gif")]
    (problem,) = [line for line in report.notes if "no picture" in line]
    assert problem.endswith(f"{skeleton} has 3 joints, {tmp_path / 'twenty' / 'train_data_joint.npy'} 20")
    skeleton.rename(tmp_path / "three" / "skeleton.yaml")
    assert {path.parent.name for path in check(tmp_path).written} == {"three", "twenty"}


def bones_of(cell: Any) -> dict[str, np.ndarray]:
    """(n, 2, 2) ends of the bones that a cell shows, by colour."""
    found: dict[str, list[np.ndarray]] = {}
    for lines in cell.collections:
        if isinstance(lines, LineCollection):
            for color, segment in zip(lines.get_colors(), lines.get_segments(), strict=True):
                if len(segment) == 2:  # an end that is NaN is left out
                    found.setdefault(to_hex(color), []).append(segment)
    return {color: np.array(segments) for color, segments in found.items()}


@pytest.mark.parametrize(("C", "longest", "up"), [(3, 0, 0), (3, 1, 1), (3, 2, 2), (6, 2, 2), (2, 0, 1), (2, 1, 1)])
def test_bones_are_drawn_between_their_joints(C: int, longest: int, up: int) -> None:
    x = np.concatenate([moves(0, 1, T=20)[0], 99 * moves(1, 1, T=20)[0]])[:C]
    x[longest] *= 9
    x[:, [1, 18]] = 0
    x[..., 1] = 0
    across = int(up == 0)
    cells = draw([("wave $1$ \n_", x)], SKELETON).axes
    assert cells[0].get_title(loc="left") == "wave $1$ _"
    frames = [int(cell.get_xlabel().removeprefix("frame ")) for cell in cells]
    assert len(frames) == NUM_FRAME
    assert (frames[0], frames[-1]) == (0, 19)
    assert 18 not in frames
    for cell, frame in zip(cells, frames, strict=True):
        bones = bones_of(cell)
        for color, side in ((LEFT, "left"), (RIGHT, "right")):
            joints = [v for v, name in enumerate(SKELETON.joints) if side in name]
            ends = np.stack([joints, [SKELETON.parents[v] for v in joints]], axis=1)
            np.testing.assert_array_equal(bones[color], x[[across, up], frame, :, 0][:, ends].transpose(1, 2, 0))


def test_joints_without_score_are_left_out_and_the_score_is_no_axis(tmp_path: Path) -> None:
    x = moves(0, 1, T=6, M=1)
    x[:, 2] = 0.5
    x[:, 0] *= 5
    x[:, :, :, 5] = 0  # left elbow: two bones
    array = write(tmp_path / "train_data_joint.npy", x)[0]
    cells = draw([("a", array)], SKELETON, scored=True).axes
    assert cells[0].get_ylabel() == "right: channel 0\nup: channel 1"
    assert [len(bones_of(cell)[LEFT]) for cell in cells] == [6] * NUM_FRAME
    assert [len(bones_of(cell)[RIGHT]) for cell in cells] == [8] * NUM_FRAME


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    npst.arrays(
        st.sampled_from([np.float16, np.float32, np.float64]), npst.array_shapes(min_dims=5, max_dims=5, max_side=3)
    ),
    st.data(),
)
def test_whatever_numbers_an_array_holds_they_are_told(tmp_path: Path, array: np.ndarray, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.text(max_size=5), min_size=len(array), max_size=len(array), unique=True))
    labels = data.draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=len(array), max_size=len(array)))
    skeleton = tmp_path / "any.yaml"
    V = array.shape[3]
    bones = [[child, child - 1] for child in range(1, V)]
    skeleton.write_text(f"name: any\njoints: {list(map(str, range(V)))}\nbones: {bones}\ncenter: 0\n")
    write(tmp_path / "train_data_joint.npy", array, labels, names)
    notes = check(tmp_path, skeleton=skeleton).notes
    assert sum(line.startswith("  empty ") for line in notes) == 1
    broken = int((~np.isfinite(array)).any(axis=(1, 2, 3, 4)).sum())
    assert any(line.startswith(f"  NaN, inf {broken or 'none'}") for line in notes)


def test_it_runs_as_a_module_and_as_a_script(tmp_path: Path) -> None:
    write(tmp_path / "train_data_joint.npy", moves(0), [0, 1])
    for words in (["-m", "data_gen.check"], ["data_gen/check.py"]):
        done = subprocess.run(
            [sys.executable, *words, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: {tmp_path / 'train_data_joint.npy'} holds 3 samples")


def test_a_part_without_samples_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    write(tmp_path / "train_data_joint.npy", moves(0, 0))
    write(tmp_path / "val_data_joint.npy", moves(0))
    notes = check(tmp_path).notes
    assert notes[0] == f"{tmp_path / 'train_data_joint.npy'}: no samples"
    assert any(note.startswith(f"{tmp_path / 'val_data_joint.npy'}  (3, 3, 6, 20, 2)") for note in notes)


def test_an_animation_takes_as_long_as_the_recording_and_moves(tmp_path: Path) -> None:
    x = moves(0, 2, T=2 * MOST_FRAMES + 1)
    short = x[1, :, :5]
    size = animate(tmp_path / "a.gif", [("$_$", x[0]), ("same", short)], SKELETON, rate=25)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.height, gif.width) == size
        assert size[0] == 34  # every third frame
        assert gif.info["duration"] == 120  # milliseconds, of three frames
        assert gif.info["loop"] == 0  # without end
        pictures = []
        for number in range(6):
            gif.seek(number)
            pictures.append(np.asarray(gif.convert("L"), int))
    right = [picture[:, gif.width // 2 :] for picture in pictures]
    assert (pictures[0] != pictures[1]).any()
    moved, same = (np.abs(right[0] - right[number]).mean() for number in (1, 5))
    assert same < moved / 4  # the short one begins again: frames 0, 3, 1, 4, 2, 0; a GIF has few colours


def test_the_picture_of_a_picture_grows_downwards(tmp_path: Path) -> None:
    axes = draw([("a", moves(0, 1)[0, :2])], SKELETON, down=True).axes
    assert all(cell.yaxis_inverted() for cell in axes)
    assert axes[0].get_ylabel() == "right: channel 0\ndown: channel 1"
    assert not any(cell.yaxis_inverted() for cell in draw([("a", moves(0, 1)[0, :2])], SKELETON).axes)


def test_matplotlib_is_loaded_when_something_is_drawn(tmp_path: Path) -> None:
    write(tmp_path / "train_data_bone.npy", moves(0))
    code = "import sys; from data_gen.check import main; main([sys.argv[1]]); sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
