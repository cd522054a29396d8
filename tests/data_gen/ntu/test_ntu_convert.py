"""NTU folders become the published arrays; what cannot be used is named; finished output is never half-replaced."""

from __future__ import annotations

import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import slow_preprocess
from conftest import ROOT
from recordings import random_bodies, skeleton_text, write_recordings

from data_gen import preprocess_120
from data_gen.common import parallel
from data_gen.common.command_line import Report
from data_gen.formats.recording import Recording
from data_gen.ntu import convert as ntu_convert
from data_gen.ntu.convert import CHANNELS, Persons, Steps, row_of
from data_gen.ntu.splits import NTU120
from data_gen.ntu.steps import plain, preprocessed
from data_gen.ntu_gen_bones import gen_bones
from data_gen.ntu_gendata import gendata
from data_gen.preprocess import main, preprocess
from feeders.arrays import load_lengths, load_missing, load_prepared
from graph.channels import Channels

GOOD = [
    "S001C001P001R001A001.skeleton",
    "S001C002P003R001A002.skeleton",
    "S001C003P003R002A060.skeleton",
]


def read(folder: Path, part: str, suffix: str = "data_joint") -> tuple[list[str], list[int], np.ndarray]:
    names, labels = pickle.loads((folder / f"{part}_label.pkl").read_bytes())
    array = np.load(folder / f"{part}_{suffix}.npy")
    assert array.dtype == np.float32
    assert len(array) == len(names) == len(labels)
    return names, labels, array


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_figures(raw: Path, figures: Path, out: Path) -> None:
    """Compare everything that is made of `raw` with the published figures."""
    preprocess(raw, out, strict=True)
    gendata(raw, out, strict=True)
    gen_bones(out, strict=True)
    expected = np.load(figures)
    for benchmark in ("xsub", "xview"):
        for key, suffix in (("gendata", "data"), ("preprocess", "data_joint"), ("bone", "data_bone")):
            if key not in expected:
                continue
            found = {}
            for part in ("train", "val"):
                names, labels, array = read(out / benchmark, part, suffix)
                assert names == sorted(names)
                assert labels == [int(name[17:20]) - 1 for name in names]
                assert array.shape[1:] == (3, 300, 25, 2)
                found |= dict(zip(names, array, strict=True))
            assert sorted(found) == sorted(expected["names"])
            samples = np.stack([found[name] for name in expected["names"]])[:, :, expected["frames"]]
            np.testing.assert_allclose(samples, expected[key], rtol=0, atol=1e-5, err_msg=f"{benchmark} {key}")


def test_hard_cases_equal_the_published_figures(golden: Path, tmp_path: Path) -> None:
    check_figures(golden / "ntu_hard", golden / "ntu_hard.npz", tmp_path)
    assert read(tmp_path / "xview", "val")[0] == [
        "S006C001P001R001A001.skeleton",
        "S006C001P002R001A007.skeleton",
        "S006C001P003R001A010.skeleton",
        "S006C001P006R001A004.skeleton",
    ]


def test_real_recordings_equal_the_published_figures(samples: Path, golden_of_samples: Path, tmp_path: Path) -> None:
    check_figures(samples / "ntu_raw", golden_of_samples / "ntu_preprocess.npz", tmp_path)
    assert read(tmp_path / "xview", "train")[2].shape == (0, 3, 300, 25, 2)  # all were seen by camera 1
    assert read(tmp_path / "xsub", "val")[0] == ["S002C001P003R001A003.skeleton"]


def test_several_processes_make_the_same_files(golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preprocess(golden / "ntu_hard", tmp_path / "one")
    submitted = []

    class Pool(parallel.ProcessPoolExecutor):
        def submit(self, *call):  # type: ignore[no-untyped-def]
            submitted.append(call)
            future = super().submit(*call)
            future.exception()  # is there when the other process has done it, so that it does all of them
            return future

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(parallel, "_ITEMS_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(parallel, "_CHUNK", 2)
    preprocess(golden / "ntu_hard", tmp_path / "two", num_worker=2)
    assert len(submitted) > 3
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_files_are_parsed_once_for_all_benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recordings(tmp_path / "raw", GOOD)
    parsed = []

    def read_skeleton(path: Path, **options: int) -> object:
        parsed.append(path.name)
        return original(path, **options)

    original = ntu_convert.read_skeleton
    monkeypatch.setattr(ntu_convert, "read_skeleton", read_skeleton)
    preprocess(tmp_path / "raw", tmp_path / "out")
    assert parsed == GOOD


def test_raw_text_to_arrays_equals_plain_loops(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        bodies = random_bodies(rng, int(rng.integers(1, 6)), int(rng.integers(2, 9)))
        name = f"S001C{seed % 3 + 1:03}P{seed % 5 + 1:03}R001A{seed + 1:03}.skeleton"
        (raw / name).write_bytes(skeleton_text(bodies, "\r\n" if seed % 2 else "\n").encode())
    slow_preprocess.preprocess(raw, tmp_path / "slow")
    preprocess(raw, tmp_path / "fast", strict=True)
    for benchmark in ("xsub", "xview"):
        for part in ("train", "val"):
            fast, slow = (read(tmp_path / way / benchmark, part) for way in ("fast", "slow"))
            assert fast[:2] == slow[:2]
            assert len(fast[2]) > 0
            np.testing.assert_allclose(fast[2], slow[2], atol=1e-6)


@pytest.fixture
def two_folders(tmp_path: Path) -> tuple[Path, Path]:
    """NTU RGB+D 120 as it is downloaded: setups 1 to 17 in one folder, the others in another."""
    write_recordings(tmp_path / "part1", ["S001C001P001R001A001.skeleton", "S017C001P003R001A060.skeleton"])
    write_recordings(tmp_path / "part2", ["S018C001P103R001A061.skeleton", "S032C001P106R001A120.skeleton"])
    return tmp_path / "part1", tmp_path / "part2"


@pytest.mark.parametrize(("script", "suffix"), [("ntu120_gendata.py", "data"), ("preprocess_120.py", "data_joint")])
def test_ntu_120_lies_in_two_folders(two_folders: tuple[Path, Path], tmp_path: Path, script: str, suffix: str) -> None:
    ignored = tmp_path / "missing.txt"
    ignored.write_text("S017C001P003R001A060\n")
    first, second = two_folders
    for dash, listed in (("-", ()), ("_", ("--ignored_sample_path", ignored))):
        out = tmp_path / f"out{dash}"
        parts = (f"--part1{dash}path", first, f"--part2{dash}path", second)
        ran = _run(script, *parts, f"--out{dash}folder", out, "--strict", *listed)
        assert (ran.returncode, ran.stderr) == (0, "")
        left = ["S017C001P003R001A060.skeleton"] * (not listed)
        assert read(out / "xsub", "train", suffix)[:2] == (
            ["S001C001P001R001A001.skeleton", "S018C001P103R001A061.skeleton"],
            [0, 60],
        )
        assert read(out / "xsub", "val", suffix)[0] == [*left, "S032C001P106R001A120.skeleton"]
        assert read(out / "xset", "val", suffix)[0] == ["S001C001P001R001A001.skeleton", *left]
        assert read(out / "xset", "train", suffix)[1] == [60, 119]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--part1_path", "part1"],
            "120 is no folder: unpack the .skeleton files of NTU RGB+D 120 (S018 to S032) there",
        ),
        (["--part2_path", "part2"], "(S001 to S017) there, or name their folder with --part1_path"),
        (
            ["--part1_path", "part1", "--part2_path", "empty"],
            "empty has no .skeleton file: unpack the .skeleton files of NTU RGB+D 120 (S018 to S032) there",
        ),
        (
            ["--part1_path", "part2", "--part2_path", "part2"],
            "part2 has 2 .skeleton files (S018C001P103R001A061.skeleton ...), but none of S001 to S017: unpack",
        ),
    ],
)
def test_half_of_ntu_120_is_refused(
    two_folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises((FileNotFoundError, ValueError)) as error:
        preprocess_120.main([*arguments, "--out_folder", "out"])
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=r"part2 has 2 \.skeleton files .*none of S001 to S017"):
        preprocess(two_folders[1], "out", dataset=NTU120)


def test_ntu_120_may_lie_in_one_folder(
    two_folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    for folder in two_folders:
        for path in folder.iterdir():
            shutil.copy(path, whole)
    monkeypatch.chdir(tmp_path)  # the usual folders are absent
    preprocess_120.main([*("--part1_path", "part1", "--part2_path", "part2"), "--out_folder", "two"])
    for number, options in enumerate(
        (["--data_path", "whole"], ["--part1_path", "whole"], ["--part1-path", "whole", "--part2-path", "whole"])
    ):
        preprocess_120.main([*options, "--out_folder", f"one{number}"])
        for benchmark in ("xsub", "xset"):
            for part in ("train", "val"):
                one, two = (read(Path(out) / benchmark, part) for out in (f"one{number}", "two"))
                assert one[:2] == two[:2]
                np.testing.assert_array_equal(one[2], two[2])
    with pytest.raises(
        ValueError, match=r"S001C001P001R001A001\.skeleton lies in part1 and in whole; keep one of them"
    ):
        preprocess_120.main(["--part1_path", "part1", "--part2_path", "whole", "--out_folder", "out"])
    report = main(["--data_path", "whole", "--out_folder", "sixty"])
    assert report.notes[0] == "left out 2 files of setups that are not in NTU RGB+D 60"
    assert report.skipped == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right on Windows")
def test_sub_folders_and_links_to_folders_are_searched(tmp_path: Path) -> None:
    write_recordings(tmp_path / "plain", GOOD)
    preprocess(tmp_path / "plain", tmp_path / "expected")
    write_recordings(tmp_path / "elsewhere" / "deep", GOOD)
    (tmp_path / "raw" / "D0-30000").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / GOOD[0]).rename(tmp_path / "raw" / "D0-30000" / GOOD[0])
    (tmp_path / "elsewhere" / "deep" / GOOD[2]).rename(tmp_path / "elsewhere" / "deep" / GOOD[2].upper())
    (tmp_path / "raw" / "D30001-56880").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "raw")  # a circle
    preprocess(tmp_path / "raw", tmp_path / "found")
    for part in ("train", "val"):
        found, expected = (read(tmp_path / out / "xsub", part) for out in ("found", "expected"))
        assert found[:2] == expected[:2]
        np.testing.assert_array_equal(found[2], expected[2])


def test_the_length_is_that_before_the_frames_repeat(tmp_path: Path) -> None:
    """Two bodies that repeat at different rhythms: their array never repeats as a whole."""
    bodies = np.random.default_rng(0).normal(size=(2, 46, 25, 3))
    bodies[1, 40:] = bodies[1, :3] = 0
    late = bodies.copy()
    late[0, :2] = 0  # its first frames move to the front
    (tmp_path / "raw").mkdir()
    for name, joints in zip(GOOD, (bodies, late, bodies[:, :1]), strict=True):
        (tmp_path / "raw" / name).write_text(skeleton_text(joints))
    preprocess(tmp_path / "raw", tmp_path)
    gendata(tmp_path / "raw", tmp_path)
    gen_bones(tmp_path)
    for name, lengths in (
        ("train_data_joint.npy", [46]),
        ("val_data_joint.npy", [44, 1]),
        ("val_data_bone.npy", [44, 1]),
        ("val_data.npy", [46, 1]),
    ):
        np.testing.assert_array_equal(load_lengths(tmp_path / "xsub" / name), lengths)


def test_missing_joints_are_written_as_the_frames_repeat(tmp_path: Path) -> None:
    bodies = np.random.default_rng(0).normal(size=(1, 4, 25, 3))
    bodies[0, 0] = 0  # absent
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / GOOD[0]).write_text(skeleton_text(bodies))
    bodies[0, 2, 7] = np.nan
    bodies[0, 3, 9] = 0
    (tmp_path / "raw" / GOOD[1]).write_text(skeleton_text(bodies).replace("nan", "NaN"))
    preprocess(tmp_path / "raw", tmp_path)
    gendata(tmp_path / "raw", tmp_path)
    assert load_missing(tmp_path / "xsub" / "train_data_joint.npy") is None
    in_array = np.zeros((300, 25, 2), bool)
    in_array[1::3, 7, 0] = in_array[2::3, 9, 0] = True  # three frames that repeat, from the second recorded one on
    recorded = np.zeros((300, 25, 2), bool)
    recorded[2, 7, 0] = recorded[3, 9, 0] = True
    for name, expected in (("val_data_joint.npy", in_array), ("val_data.npy", recorded)):
        missing, joints = load_missing(tmp_path / "xsub" / name), np.load(tmp_path / "xsub" / name)[0]
        assert missing is not None
        np.testing.assert_array_equal(missing[0], expected)
        assert np.isfinite(joints).all()
        assert not joints[:, expected].any()
    (tmp_path / "raw" / GOOD[1]).write_text((tmp_path / "raw" / GOOD[0]).read_text())
    preprocess(tmp_path / "raw", tmp_path)
    assert load_missing(tmp_path / "xsub" / "val_data_joint.npy") is None, "the mask of the earlier joints is left"


def test_persons_may_be_followed_by_their_identity(tmp_path: Path) -> None:
    bodies = np.random.default_rng(0).normal(size=(2, 6, 25, 3))
    swapped = bodies.copy()
    swapped[:, 3:] = bodies[::-1, 3:]
    lines = skeleton_text(swapped).splitlines()
    for number, row in enumerate(row for row, line in enumerate(lines) if len(line.split()) == 10):
        identity = number % 2 if number < 6 else 1 - number % 2
        lines[row] = f"7{identity}" + lines[row][lines[row].index(" ") :]
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / GOOD[0]).write_text("\n".join(lines))
    (tmp_path / "raw" / GOOD[1]).write_text(skeleton_text(bodies[:1]))
    report = main(["--data_path", str(tmp_path / "raw"), "--out_folder", str(tmp_path / "places")])
    assert report.notes == ["in 1 file persons change places between frames; see --persons"]
    report = gendata(tmp_path / "raw", tmp_path / "plain", persons="track")
    assert report.notes == ["in 1 file persons change places between frames; see --persons"]
    joints = read(tmp_path / "plain" / "xsub", "train", "data")[2][0]
    np.testing.assert_allclose(joints[:, :6], bodies.transpose(3, 1, 2, 0), rtol=1e-6)
    prepared = load_prepared(tmp_path / "plain" / "xsub" / "train_data.npy")
    assert prepared is not None
    assert (prepared.channels, prepared.frame_rate) == (Channels(("x", "y", "z"), "metres"), 30)
    assert prepared.made["script"] == "ntu_gendata.py"
    assert prepared.made["options"]["persons"] == "track"


@pytest.mark.parametrize("steps", [plain, preprocessed])
@pytest.mark.parametrize("persons", ["file", "track"])
def test_a_recording_without_numbers_of_persons_is_one_by_places(steps: Steps, persons: Persons) -> None:
    joints = np.random.default_rng(0).normal(size=(6, 2, 25, 3))
    joints[4:, 0] = 0
    untold = Recording.of("a", joints, CHANNELS, identity=np.full((6, 2), -1))
    expected = row_of(replace(untold, identity=None), steps=steps, persons=persons)
    row = row_of(untold, steps=steps, persons=persons)
    np.testing.assert_array_equal(row.x, expected.x)
    assert not row.is_swapped


def test_persons_without_a_number_follow_those_with_one() -> None:
    joints = np.random.default_rng(0).normal(size=(6, 2, 25, 3))
    identity = np.array([[-1, 7]] * 3 + [[7, -1]] * 3)
    joints[3:] = joints[3:, ::-1]
    joints[3:, 1] = 0  # who has no number leaves
    recording = Recording.of("a", joints, CHANNELS, identity=identity)
    row = row_of(recording, steps=plain, persons="track")
    np.testing.assert_array_equal(row.x[:, :3, :, 0], recording.joints[:3, 1].transpose(2, 0, 1))
    np.testing.assert_array_equal(row.x[:, 3:6, :, 0], recording.joints[3:, 0].transpose(2, 0, 1))
    np.testing.assert_array_equal(row.x[:, :3, :, 1], recording.joints[:3, 0].transpose(2, 0, 1))
    assert not row.x[:, 3:, :, 1].any()
    assert row.is_swapped


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Three sound recordings among whatever else a download may hold."""
    raw = tmp_path / "raw"
    write_recordings(raw, GOOD)
    text = (raw / GOOD[0]).read_text()
    (raw / "S001C001P001R001A003.skeleton").write_text(text[: len(text) // 2])
    (raw / "S001C001P001R001A004.skeleton").write_text(text.replace("277.4", "277,4", 1))
    (raw / "S001C001P001R001A005.skeleton").write_text("2\n0\n0\n")
    (raw / "S001C001P001R001A006.skeleton").write_text(skeleton_text(np.ones((1, 5, 25, 3))))
    (raw / "S001C001P001R001A007.skeleton").mkdir()
    (raw / "S001C001P001R001A061.skeleton").write_text(text)
    (raw / "._S001C001P001R001A001.skeleton").write_text("x")
    (raw / "readme.txt").write_text("x")
    return raw


PROBLEMS = [
    "._S001C001P001R001A001.skeleton: no NTU sample name",
    "S001C001P001R001A061.skeleton: A061: NTU RGB+D 60 has the actions A001 to A060",
    "S001C001P001R001A003.skeleton: line ",
    "S001C001P001R001A004.skeleton: line 5: '277,4' is no number",
    "S001C001P001R001A005.skeleton: no body in any frame",
    "S001C001P001R001A006.skeleton: no body in any frame",
    "S001C001P001R001A007.skeleton: it is no regular file",
]


def test_what_cannot_be_used_is_named_and_skipped(mixed: Path, tmp_path: Path) -> None:
    report = preprocess(mixed, tmp_path / "out")
    assert len(report.skipped) == len(PROBLEMS)
    for problem, skipped in zip(PROBLEMS, report.skipped, strict=True):
        assert problem in skipped
        assert f"  {skipped}\n" in f"{report}\n"
    names, labels, array = read(tmp_path / "out" / "xsub", "train")
    assert (names, labels) == (GOOD[:1], [0])
    assert array.any(axis=(1, 2, 3, 4)).all()
    assert read(tmp_path / "out" / "xsub", "val")[:2] == (GOOD[1:], [1, 59])
    assert read(tmp_path / "out" / "xview", "train")[0] == GOOD[1:]
    assert report.written[tmp_path / "out" / "xview" / "train_data_joint.npy"] == (2, 3, 300, 25, 2)


@pytest.mark.parametrize("kept", ["A003", "A004", "A005", "A006", "A007", "A061", "._S"])
def test_strict_stops_at_each_of_them_and_writes_nothing(mixed: Path, tmp_path: Path, kept: str) -> None:
    for path in sorted(mixed.iterdir()):
        if path.name not in GOOD and kept not in path.name:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ValueError, match=kept.replace(".", r"\.")):
        preprocess(mixed, tmp_path / "out", strict=True)
    assert contents(tmp_path / "out") == {}


def test_listed_samples_are_left_out(mixed: Path, tmp_path: Path) -> None:
    listed = tmp_path / "missing.txt"
    listed.write_text(
        "Samples with missing skeletons:\r\nS001C001P001R001A003\r\n\r\nS001C001P001R001A004.skeleton\r\n"
    )
    report = preprocess(mixed, tmp_path / "out", ignored_sample_path=listed)
    assert len(report.skipped) == len(PROBLEMS) - 2
    assert f"left out 2 that {listed} lists" in report.notes


def test_long_clips_are_cut_and_counted(tmp_path: Path) -> None:
    write_recordings(tmp_path / "raw", GOOD[:1], num_frame=301)
    write_recordings(tmp_path / "raw", GOOD[1:], num_frame=300)
    report = gendata(tmp_path / "raw", tmp_path / "out")
    assert report.notes == ["1 file has more than 300 frames; the first 300 are kept"]
    assert read(tmp_path / "out" / "xsub", "train", "data")[2].shape == (1, 3, 300, 25, 2)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_a_run_that_dies_midway_leaves_finished_output_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_recordings(raw, GOOD[:1])
    preprocess(raw, out)
    finished = contents(out)
    write_recordings(raw, GOOD)

    def convert_file(path: Path, **options: object) -> object:
        if path.name == GOOD[2]:
            assert len(list(out.rglob("*_joint.npy.*.tmp"))) == 4  # two samples are written under other names
            raise error
        return original(path, **options)  # type: ignore[arg-type]

    original = ntu_convert.convert_file
    with monkeypatch.context() as patched:
        patched.setattr(ntu_convert, "convert_file", convert_file)
        with pytest.raises(error):
            preprocess(raw, out)
    assert contents(out) == finished
    preprocess(raw, out)
    assert read(out / "xsub", "val")[0] == GOOD[1:]
    assert set(contents(out)) == set(finished)


_KILLED = """
import os, signal, sys
from data_gen.common import command_line
from data_gen.ntu import convert as ntu_convert
from data_gen.preprocess import main

original, name, number = ntu_convert.convert_file, *sys.argv[1:3]
del sys.argv[1:3]
signal.signal(signal.SIGINT, signal.default_int_handler)  # which tests in the background ignore

def convert_file(path, **options):
    if path.name == name:
        os.kill(os.getpid(), int(number))
    return original(path, **options)

ntu_convert.convert_file = convert_file
command_line.run(main)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(("name", "code"), [("SIGKILL", -9), ("SIGTERM", 143), ("SIGINT", 130)])
def test_after_a_killed_run_the_next_one_starts_clean(tmp_path: Path, name: str, code: int) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_recordings(raw, GOOD[:1])
    preprocess(raw, out)
    finished = contents(out)
    write_recordings(raw, GOOD)
    command = [sys.executable, "-c", _KILLED, GOOD[2], str(int(signal.Signals[name])), "--data_path", raw]
    ran = subprocess.run([*map(str, command), "--out_folder", str(out)], cwd=ROOT, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (code, b"")
    left = {path for path in contents(out) if path.endswith(".tmp")}
    assert sum("_joint.npy" in path for path in left) == (4 if name == "SIGKILL" else 0)
    assert contents(out).keys() - left == finished.keys()
    assert all(contents(out)[path] == content for path, content in finished.items())
    preprocess(raw, out)
    preprocess(raw, tmp_path / "undisturbed")
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_a_folder_of_broken_files_does_not_empty_finished_output(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_recordings(raw, GOOD[:1])
    preprocess(raw, out)
    finished = contents(out)
    (raw / GOOD[0]).write_text("1\n1\n")
    with pytest.raises(ValueError, match=f"no file can be used; the last problem is {GOOD[0]}: line 2"):
        preprocess(raw, out)
    assert contents(out) == finished
    with pytest.raises(ValueError, match="no file can be used"):
        preprocess(raw, tmp_path / "other" / "place")
    assert not (tmp_path / "other").exists()


def test_bones_of_earlier_joints_are_pointed_out(tmp_path: Path) -> None:
    write_recordings(tmp_path / "raw", GOOD)
    assert preprocess(tmp_path / "raw", tmp_path / "out").notes == []
    gen_bones(tmp_path / "out")
    notes = preprocess(tmp_path / "raw", tmp_path / "out").notes
    assert len(notes) == 4
    assert notes[0].endswith("train_data_bone.npy is of the earlier joints: build it again")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--data_path", "absent"],
            "absent is no folder: unpack the .skeleton files of NTU RGB+D 60 (S001 to S017) there",
        ),
        (["--data_path", "empty"], "empty has no .skeleton file: unpack"),
        (
            ["--data_path", "strange"],
            "strange has 1 .skeleton file (walking.skeleton ...), but none of S001 to S017: unpack",
        ),
        (
            ["--data_path", "txt"],
            "txt has no .skeleton file, but 1 name of samples with another suffix (S001C001P001R001A001.txt ...)",
        ),
        (["--data_path", "raw", "--ignored-sample-path", "absent.txt"], "absent.txt: no such list of samples"),
        (["--data_path", "raw", "--ignored_sample_path", "raw/" + GOOD[0]], "no line of it names a sample"),
        (["--data-path", "raw", "--out-folder", "raw/" + GOOD[0]], "is a file, no folder for arrays"),
    ],
)
def test_mistakes_are_answered_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_recordings(tmp_path / "strange", ["walking.skeleton"])
    write_recordings(tmp_path / "txt" / "inner", ["S001C001P001R001A001.txt"])
    write_recordings(tmp_path / "raw", GOOD)
    with pytest.raises((FileNotFoundError, FileExistsError, ValueError)) as error:
        main(arguments)
    assert message in str(error.value)


def _run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, f"data_gen/{script}", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_scripts_run_from_the_projects_root(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for script, folder in (
        ("preprocess.py", ("--data-path", mixed, "--out_folder", out)),
        ("ntu_gendata.py", ("--data_path", mixed, "--out-folder", out)),
        ("ntu_gen_bones.py", ("--data_folder", out)),
        ("ntu_merge_joint_bones.py", ("--data-folder", out)),
    ):
        ran = _run(script, *folder)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.count("wrote ") == 4
        assert (f"skipped {len(PROBLEMS)}:" in ran.stdout) == (mixed in folder)
    names = ("data", "data_joint", "data_bone", "data_joint_bones")
    names += ("length", "plain_length")
    files = {f"{part}_{name}.npy" for part in ("train", "val") for name in names}
    files |= {"train_label.pkl", "val_label.pkl", "prepared.yaml", "plain_prepared.yaml"}
    for benchmark in ("xsub", "xview"):
        assert {path.name for path in (out / benchmark).iterdir() if "missing" not in path.name} == files


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("preprocess.py", ["--data_path", "{}/absent"], "absent is no folder"),
        ("preprocess.py", ["--data_path", "{}/raw", "--strict", "--out_folder", "{}/out"], "no NTU sample name"),
        ("ntu_gen_bones.py", ["--data_folder", "{}"], "no train_data_joint.npy or val_data_joint.npy there"),
        ("ntu_merge_joint_bones.py", ["--data_folder", "{}"], "no train_data_joint.npy"),
        ("ucla_gendata.py", ["--data_path", "{}/absent"], "absent is no folder"),
    ],
)
def test_scripts_answer_mistakes_in_one_line(mixed: Path, script: str, arguments: list[str], message: str) -> None:
    ran = _run(script, *(argument.format(mixed.parent) for argument in arguments))
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.startswith("error: ")
    assert message in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("script", [preprocess_120.main, main])
def test_the_help_says_where_the_lists_of_missing_skeletons_are(
    script: Callable[[list[str]], Report], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for columns in ("60", "80", "200"):  # an address is one word, however narrow the terminal is
        monkeypatch.setenv("COLUMNS", columns)
        with pytest.raises(SystemExit):
            script(["--help"])
        words = capsys.readouterr().out.split()
        assert "https://github.com/shahroudy/NTURGB-D/tree/master/Matlab" in words
        assert {"NTU_RGBD_samples_with_missing_skeletons.txt", "NTU_RGBD120_samples_with_missing_skeletons.txt"} <= {
            *words
        }
