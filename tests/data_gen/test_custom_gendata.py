"""A user's own files become arrays, whatever their form, and what cannot be used is named."""

from __future__ import annotations

import csv
import io
import json
import pickle
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import main as program
from data_gen.common.command_line import Report
from data_gen.custom_gendata import main
from data_gen.formats.labels import read_labels
from data_gen.formats.reading import read
from data_gen.formats.recording import Recording
from feeders.arrays import load_prepared, skeleton_of_array
from feeders.feeder import Feeder
from graph.custom import load_skeleton
from graph.tools import Skeleton
from processor.config.schema import load_config

EXAMPLE = ROOT / "config" / "custom" / "_skeleton.yaml"
DOCS = ROOT / "docs" / "own_skeletons.md"
ARM = "name: arm\njoints: [neck, shoulder, elbow, hand]\nbones: [[0, 1], [1, 2], [2, 3]]\ncenter: neck\n"
FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def chain(num_point: int) -> Skeleton:
    return Skeleton("chain", tuple(f"j{v}" for v in range(num_point)), tuple(max(v - 1, 0) for v in range(num_point)))


def read_sequence(path: Path, num_point: int, channel: int | None = None) -> Recording:
    (recording,) = read(path, skeleton=chain(num_point), channel=channel)
    return recording


def moves(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def write_file(path: Path, joints: np.ndarray) -> None:
    """`joints` (T, V, C) or (T, M, V, C) in the form that the suffix tells; NaN as each form has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".npy":
            np.save(path, joints)
        case ".json":
            path.write_text(json.dumps(joints.tolist()).replace("NaN", "null"))
        case _:
            lines = (",".join("" if np.isnan(x) else repr(float(x)) for x in frame.ravel()) for frame in joints)
            path.write_text("".join(f"{line}\n" for line in lines))


class Folder:
    """A data set under construction in `path`."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, [["file", "label", "split"]]
        (path / "raw").mkdir()
        (path / "arm.yaml").write_text(ARM)

    def add(self, name: str, joints: Any, label: object = "wave", split: str = "train") -> None:
        path = self.path / "raw" / name
        if isinstance(joints, bytes):
            path.write_bytes(joints)
        elif joints is not None:
            write_file(path, joints)
        self.rows.append([name, str(label), split])

    def convert(self, *words: object) -> Report:
        with (self.path / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(self.rows)
        named = {"data_path": "raw", "label-path": "labels.csv", "skeleton": "arm.yaml", "out-folder": "out"}
        options = [word for key, name in named.items() for word in (f"--{key}", str(self.path / name))]
        return main([*options, *map(str, words)])

    def array(self, part: str = "train") -> np.ndarray:
        return np.load(self.path / "out" / f"{part}_data_joint.npy")

    def labels(self, part: str = "train") -> tuple[list[str], list[int]]:
        return pickle.loads((self.path / "out" / f"{part}_label.pkl").read_bytes())

    def contents(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.path / "out").iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".json"])
@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 2), (5, 2, 4, 3), (1, 3, 4, 5)])
def test_every_form_is_read(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    joints = moves(0, *shape)
    joints[0, ..., 1, 1] = np.nan
    path = tmp_path / f"x{suffix.upper() if suffix == '.npy' else suffix}"
    write_file(tmp_path / f"x{suffix}", joints)
    if path.suffix != suffix:
        (tmp_path / f"x{suffix}").rename(path)
    channel = None if len(shape) == 3 or suffix != ".csv" else shape[-1]
    recording = read_sequence(path, 4, channel=channel)
    joints = joints if len(shape) == 4 else joints[:, None]
    present = ~np.isnan(joints).any(axis=3)
    np.testing.assert_array_equal(recording.joints, np.where(present[..., None], joints, 0).astype(np.float32))
    np.testing.assert_array_equal(recording.present, present)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_csv_may_have_a_heading_a_mark_and_frames_without_any_number(tmp_path: Path, end: str) -> None:
    path = tmp_path / "x.csv"
    lines = ["j0 x,j0 y,j1 x,j1 y", " 1 ,2,, nan", ",,,", "1e1,-2,.5,4"]
    path.write_bytes(b"\xef\xbb\xbf" + end.join([*lines, ""]).encode())
    recording = read_sequence(path, 2)
    assert recording.joints.tolist() == [[[[1, 2], [0, 0]]], [[[0, 0]] * 2], [[[10, -2], [0.5, 4]]]]
    assert recording.present[:, 0].tolist() == [[True, False], [False, False], [True, True]]
    path.write_bytes(end.join(lines[2:]).encode())
    assert read_sequence(path, 2).joints.shape == (2, 1, 2, 2)


def test_sequences_of_all_forms_make_one_array_ordered_by_name(folder: Folder) -> None:
    short, pair, long = moves(1, 3, 4, 3), moves(2, 4, 2, 4, 3), moves(3, 6, 4, 3)
    folder.add("c.npy", short.astype(np.float16), "wave")
    folder.add("b/a.json", pair, "bow", "TRAIN")
    folder.add("a.csv", long, "clap", "test")
    report = folder.convert("--channel", 3)
    train, val = folder.array(), folder.array("val")
    assert train.shape == (2, 3, 6, 4, 2)
    assert val.shape == (1, 3, 6, 4, 2)
    assert train.dtype == np.float32
    assert folder.labels() == (["b/a.json", "c.npy"], [0, 2])
    assert folder.labels("val") == (["a.csv"], [1])
    expected = np.zeros_like(train)
    for t, m, v, c in np.ndindex(pair.shape):
        expected[0, c, t, v, m] = pair[t, m, v, c]
    for t, v, c in np.ndindex(short.shape):
        expected[1, c, t, v, 0] = np.float16(short[t, v, c])
    np.testing.assert_array_equal(train, expected)
    assert (folder.path / "out" / "classes.txt").read_text() == "bow\nclap\nwave\n"
    assert load_skeleton(folder.path / "out" / "skeleton.yaml").name == "arm"
    assert skeleton_of_array(folder.path / "out" / "train_data_joint.npy", 4).joints[3] == "hand"
    assert report.skipped == []
    out = folder.path / "out"
    assert report.notes[-1] == f"train a model with  python main.py --config {out.as_posix()}/s-tr.yaml"
    x, label, _ = Feeder(str(out / "train_data_joint.npy"), str(out / "train_label.pkl"), window_size=4)[1]
    np.testing.assert_array_equal(x, expected[1, :, :4])
    assert label == 2


def test_numbers_stay_the_labels_they_are(folder: Folder) -> None:
    for number in (2, 10, 0):
        folder.add(f"{number}.npy", moves(number, 2, 4, 3), number)
    report = folder.convert()
    assert folder.labels() == (["0.npy", "10.npy", "2.npy"], [0, 10, 2])
    assert (folder.path / "out" / "classes.txt").read_text().split() == list(map(str, range(11)))
    assert "train has no sequence of 8 of 11 classes: 1, 3, 4, 5, 6 and 3 more" in report.notes
    assert "val has no sequence of 11 of 11 classes: 0, 1, 2, 3, 4 and 6 more" in report.notes
    assert folder.array("val").shape == (0, 3, 2, 4, 1)


def test_a_joint_without_all_its_numbers_is_missing_and_counted(folder: Folder) -> None:
    joints = moves(4, 6, 2, 4, 3)
    joints[1, 0, 2, 1] = joints[1, 0, 2, 2] = joints[3, 1, 0, 0] = joints[5, 0, 0, 0] = np.nan
    folder.add("a.npy", joints)
    folder.add("b.json", joints[:1])
    folder.add("c.npy", np.full((2, 4, 3), np.nan))
    report = folder.convert("--max_frame", 5)
    assert "2 joints in 1 recording are missing; they are zero" in report.notes
    assert report.skipped == ["c.npy: no body in any frame"]
    expected = joints[:5].copy()
    expected[1, 0, 2] = expected[3, 1, 0] = 0
    np.testing.assert_array_equal(folder.array()[0], expected.transpose(3, 0, 2, 1).astype(np.float32))


def test_the_frame_rate_is_kept_where_recordings_do_not_tell_it(folder: Folder) -> None:
    folder.add("a.npy", moves(4, 6, 4, 3))
    folder.convert("--frame_rate", 12.5)
    prepared = load_prepared(folder.path / "out" / "train_data_joint.npy")
    assert prepared is not None
    assert prepared.frame_rate == 12.5
    for wrong in (0, "nan", "inf"):
        with pytest.raises(ValueError, match=r"--frame_rate .* must be at least 1, and finite"):
            folder.convert("--frame_rate", wrong)


def test_longer_sequences_and_further_persons_are_cut_and_told(folder: Folder) -> None:
    a, late, b = moves(5, 9, 3, 4, 3), moves(6, 9, 4, 3), moves(7, 2, 4, 3)
    late[:5] = 0
    folder.add("a.npy", a)
    folder.add("b.npy", b)
    folder.add("late.npy", late)
    report = folder.convert("--max-frame", 5, "--num_person", 2)
    assert folder.array().shape == (2, 3, 5, 4, 2)
    np.testing.assert_array_equal(folder.array()[0], a[:5, :2].transpose(3, 0, 2, 1).astype(np.float32))
    assert "1 recording has more than 5 frames; the first 5 are kept" in report.notes
    assert "1 recording has more than 2 persons; the first 2 are kept" in report.notes
    assert report.skipped == ["late.npy: no body in any of the first 5 frames"]


BROKEN: dict[str, tuple[Any, str]] = {
    "25 joints.npy": (np.ones((3, 25, 3)), r"25 joints in shape \(3, 25, 3\), the skeleton has 4"),
    "axes.npy": (np.ones((3, 9, 4)), r"9 joints in shape \(3, 9, 4\), the skeleton has 4"),
    "flat.npy": (np.ones((3, 13)), "13 numbers a frame are not 2 or more for each of 4 joints"),
    "empty.npy": (np.ones((0, 4, 3)), r"found \(0, 4, 3\)"),
    "one channel.npy": (np.ones((3, 4, 1)), "1 channel in shape .*, at least 2 expected"),
    "other channels.npy": (np.ones((3, 4, 2)), r"2 channels \(x, y\), where most files have 3"),
    "objects.npy": (np.array([{}, None]), "not a complete .npy array of numbers"),
    "text.npy": (np.array(["1"]), "an array of <U1, not of numbers"),
    "truth.npy": (np.ones((3, 4, 3), bool), "an array of bool, not of numbers"),
    "cut.npy": (b"\x93NUMPY\x01\x00", "not a complete .npy array of numbers"),
    "nothing.npy": (b"", "the file is empty"),
    "infinite.npy": (np.full((3, 4, 3), np.inf), "beyond any measure"),
    "zero.npy": (np.zeros((3, 4, 3)), "no body in any frame"),
    "25 joints.json": (np.ones((3, 25, 3)), r"25 joints in shape \(3, 25, 3\), the skeleton has 4"),
    "cut.json": (b"[[[1, 2],\n [", "line 2, column 3: no JSON"),
    "ragged.json": (b"[[[1, 2], [1]]]", "not nested lists of numbers .* of equal lengths"),
    "words.json": (b'[[["a"]]]', "not nested lists of numbers"),
    "mapping.json": (b'{"skeletons": []}', "not nested lists of numbers"),
    "number.json": (b"1", "it has no heading|lines? of 1 number"),
    "deep.json": (b"[" * 100_000, "no JSON that can be read"),
    "long number.json": (b"[[[1" + b"0" * 400 + b"]]]", "not nested lists of numbers"),
    "huge.json": (b"[[" + b"[1e7, 0, 0]," * 3 + b"[0, 0, 0]]]", r"beyond any measure \(1e\+06\)"),
    "11 numbers.csv": (b"1,2,3,4,5,6,7,8,9,10,11\n", "11 numbers a frame are not 2 or more for each of 4 joints"),
    "4 numbers.csv": (b"1,2,3,4\n", "1 line of 4 numbers is neither frames nor joints of 4 a frame"),
    "persons.csv": (moves(0, 3, 2, 4, 3), "24 numbers a frame are 6 for each of 4 joints: give .* with --channel"),
    "ragged.csv": (b"1,2,3,4,5,6,7,8\n1,2,3,4,5,6,7\n", "line 2: 7 fields, 8 on line 1"),
    "short.csv": (b"x0,y0,x1,y1,x2,y2,x3,y3\n1,2,3,4,5,6,7\n", "line 2: 7 fields, 8 in the heading"),
    "strange.csv": (b"a x,a y,b x,b y,c x,c y,d x,d y\n1,2,3,4,5,6,7,8\n", "order of its 4 joints cannot be told: 'a'"),
    "numbers.csv": (b"x0,y0,x1,y1,x2,y2,x4,y4\n1,2,3,4,5,6,7,8\n", "numbered from 0 to 4, and 3 is not there"),
    "lone.csv": (b"x0,y0,x1,y1,x2,y2,x3\n1,2,3,4,5,6,7\n", "its heading names 3 joints, the skeleton has 4"),
    "word.csv": (b"1,2,3,4,5,6,7,8\n1,2,3,4,5,6,\xff,8\n", r"line 2: '\\xff' is no number"),
    "semicolons.csv": (b"1;2;3\n1;2;3\n", "2 lines of 3 numbers are neither frames nor joints of 4 a frame"),
    "empty.csv": (b"\r\n", "it has no frame"),
    "heading.csv": (b"a,b\n", "it has no frame"),
    "picture.png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "it is of no known format"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_and_skipped(folder: Folder, name: str) -> None:
    folder.add("sound.npy", moves(0, 3, 4, 3))
    folder.add("sound too.csv", moves(0, 3, 4, 3))
    folder.add(name, BROKEN[name][0])
    problem = f"^{re.escape(name)}: .*{BROKEN[name][1]}"
    with pytest.raises(ValueError, match=problem):
        folder.convert("--strict")
    assert not (folder.path / "out").exists()
    report = folder.convert()
    assert len(report.skipped) == 1
    assert re.search(problem, report.skipped[0])
    assert folder.labels()[0] == ["sound too.csv", "sound.npy"]


def test_channels_that_are_given_are_those_of_all_files(folder: Folder) -> None:
    folder.add("a.npy", moves(0, 3, 4, 2))
    folder.add("b.csv", moves(0, 3, 2, 4, 3))
    folder.add("c.csv", moves(0, 3, 4, 2))
    report = folder.convert("--channel", 3)
    assert report.skipped == [
        "a.npy: 2 channels in shape (3, 4, 2), 3 expected",
        "c.csv: 8 numbers a frame are 2 for each of 4 joints, not --channel 3",
    ]
    assert folder.array().shape == (1, 3, 3, 4, 2)


def test_listed_and_existing_files_are_compared(folder: Folder) -> None:
    folder.add("a.npy", moves(0, 3, 4, 3))
    folder.add("sub\\b.npy", None)
    write_file(folder.path / "raw" / "sub" / "b.npy", moves(1, 3, 4, 3))
    folder.add("c", None)
    write_file(folder.path / "raw" / "c.npy", moves(2, 3, 4, 3))
    folder.add("../arm.yaml", None)
    folder.add("a.npy", None, "bow", "val")
    (folder.path / "raw" / "notes.txt").write_text("not looked at")
    report = folder.convert()
    assert folder.labels()[0] == ["a.npy", "c.npy", "sub/b.npy"]
    assert report.skipped == [
        "labels.csv, line 6: a.npy is listed on line 2 already, and that line counts",
        f"../arm.yaml: it is listed in labels.csv but not in {folder.path / 'raw'}",
    ]
    assert "1 name in labels.csv differs in suffix from the disk (c is c.npy)" in report.notes
    assert "1 file is not listed in labels.csv (notes.txt ...)" in report.notes


def test_links_folders_of_frames_and_other_unicode_forms_are_recordings(folder: Folder) -> None:
    elsewhere = folder.path / "elsewhere"
    write_file(elsewhere / "Mu\u0308ller.npy", moves(0, 3, 4, 3) * 0.1)
    (folder.path / "raw" / "linked").symlink_to(elsewhere)
    folder.add("linked/M\u00fcller.npy", None)
    report = folder.convert("--strict")
    assert folder.labels()[0] == ["linked/M\u00fcller.npy"]
    assert "1 name in labels.csv differs in Unicode form" in report.notes[0]


def test_two_unicode_forms_of_a_name_are_two_recordings(folder: Folder) -> None:
    for seed, name in enumerate(("M\u00fcller.npy", "Mu\u0308ller.npy")):
        folder.add(name, moves(seed, 3, 4, 3) * 0.1)
    folder.convert("--strict")
    assert folder.labels()[0] == ["Mu\u0308ller.npy", "M\u00fcller.npy"]


def persons_of(frame: int) -> list[Any]:
    """Two persons of four joints whose order changes with each frame."""
    bodies = [np.add(np.arange(12).reshape(4, 3), [base + frame, 100, -2.5]).clip(0.5).tolist() for base in (100, 500)]
    return [{"pose_keypoints_2d": np.ravel(body).tolist()} for body in (bodies if frame % 2 else bodies[::-1])]


@pytest.mark.parametrize(("words", "is_tracked"), [((), True), (("--persons", "file"), False)])
def test_persons_of_a_pose_estimator_are_joined_over_time(folder: Folder, words: Any, is_tracked: bool) -> None:
    for frame in range(5):
        path = folder.path / "raw" / "walk" / f"walk_{frame:012}_keypoints.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"people": persons_of(frame)}))
    folder.add("walk", None)
    report = folder.convert("--strict", *words)
    x = folder.array()[0, 0, :, 0]  # (T, M)
    assert x.shape == (5, 2)
    if is_tracked:
        np.testing.assert_array_equal(x[:, 0] - x[:, 1], [400] * 5)
    else:
        np.testing.assert_array_equal(x[:, 0] - x[:, 1], [400, -400, 400, -400, 400])
    rest = "now each has one place" if is_tracked else "--persons track gives each one place"
    assert f"in 1 recording persons change places between frames; {rest}" in report.notes
    assert folder.labels()[0] == ["walk"]


@pytest.mark.parametrize("with_csv", [False, True])
def test_a_file_of_many_recordings_needs_no_csv(folder: Folder, with_csv: bool) -> None:
    clips = [
        {"frame_dir": name, "label": label, "total_frames": 3, "keypoint": moves(label, 1, 3, 4, 3)}
        for label, name in enumerate(["b", "a", "c"])
    ]
    path = folder.path / "clips.pkl"
    path.write_bytes(pickle.dumps({"split": {"train": ["a", "b"], "val": ["c"]}, "annotations": clips}))
    words = ["--data_path", path, "--skeleton", folder.path / "arm.yaml", "--out_folder", folder.path / "out"]
    if with_csv:
        (folder.path / "own.csv").write_text("file,label,split\na,wave,val\nb,bow,train\n")
        words += ["--label_path", folder.path / "own.csv"]
    main(list(map(str, words)))
    if with_csv:
        assert folder.labels() == (["b"], [0])
        assert folder.labels("val") == (["a"], [1])
    else:
        assert folder.labels() == (["a", "b"], [1, 0])
        assert folder.labels("val") == (["c"], [2])
    np.testing.assert_array_equal(
        folder.array()[-1, :, :, :, 0], np.float32(moves(0, 1, 3, 4, 3)[0]).transpose(2, 0, 1)
    )


def test_a_line_of_labels_may_name_a_part_of_a_recording(folder: Folder) -> None:
    """UTKinect has ten actions a file, and counts its frames from anywhere."""
    joints = moves(0, 30, 4, 3)
    lines = [f"{200 + 2 * t} " + " ".join(map(repr, frame.ravel().tolist())) for t, frame in enumerate(joints)]
    (folder.path / "raw" / "joints_s01_e01.txt").write_text("\n".join(lines))
    folder.rows[0] += ["start", "end"]
    folder.rows += [
        ["joints_s01_e01.txt", "walk", "train", "204", "213"],
        ["joints_s01_e01.txt", "sit down", "train", "230", "240"],
        ["joints_s01_e01.txt", "walk", "val", "250", "1000"],
        ["joints_s01_e01.txt", "walk", "val", "900", "950"],
        ["joints_s01_e01.txt", "walk", "val", "30", "3"],
    ]
    report = folder.convert("--persons", "file")
    assert folder.labels() == (["joints_s01_e01.txt:204-213", "joints_s01_e01.txt:230-240"], [1, 0])
    assert np.load(folder.path / "out" / "train_length.npy").tolist() == [5, 6]
    np.testing.assert_array_equal(folder.array()[0, :, :5, :, 0], np.float32(joints[2:7]).transpose(2, 0, 1))
    assert folder.labels("val")[0] == ["joints_s01_e01.txt:250-1000"]
    assert report.skipped == [
        "labels.csv, line 6: start '30' and end '3' are not two frames in order",
        "joints_s01_e01.txt:900-950: no frame is from 900 to 950; its frames are 200 to 258",
    ]


def test_joints_are_made_of_those_of_a_known_skeleton(folder: Folder) -> None:
    landmarks = [{"x": v / 40, "y": 0.5, "z": 0.1, "visibility": 0.9} for v in range(33)]
    (folder.path / "raw" / "a.json").write_text(json.dumps([landmarks] * 3))
    folder.add("a.json", None)
    (folder.path / "arm.yaml").write_text(
        "name: arm\njoints: [right wrist, left wrist, hip center]\nbones: [[0, 2], [1, 2]]\ncenter: hip center\n"
    )
    report = folder.convert("--strict")
    np.testing.assert_allclose(folder.array()[0, 0, 0, :, 0], [16 / 40, 15 / 40, 23.5 / 40], rtol=1e-6)
    assert "made the joints of arm of those of MediaPipe (1 recording)" in report.notes


def labels_of(tmp_path: Path, content: str | bytes, *, strict: bool = True) -> tuple[Any, Report]:
    path, report = tmp_path / "labels.csv", Report(strict=strict)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_labels(path, report), report


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_labels_of_every_dialect_are_read(tmp_path: Path, mark: str, end: str) -> None:
    lines = [
        "Split, subject ,file,label",
        "",
        'val,7,"a, b.npy","sit  down"',
        " Train ,8,c.npy,ärger",
        "test,,d.npy, sit down ",
    ]
    labels, report = labels_of(tmp_path, mark + end.join(lines))
    assert labels.classes == ["sit down", "ärger"]
    assert {name: (line.label, line.part) for name, line in labels.lines.items()} == {
        "a, b.npy": (0, "val"),
        "c.npy": (1, "train"),
        "d.npy": (0, "val"),
    }
    assert report.notes == ["labels.csv names test and val: val_data_joint.npy holds both together"]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_labels_may_be_separated_as_excel_does_and_splits_written_out(tmp_path: Path, mark: str) -> None:
    rows = [["file", "label", "split"], ["a.npy", "wave", "Training"], ["b.npy", "1,5 m", "validation"]]
    labels, _ = labels_of(tmp_path, "\n".join(mark.join(row) for row in rows))
    assert labels.classes == ["1,5 m", "wave"]
    assert [line.part for line in labels.lines.values()] == ["train", "val"]
    told, _ = labels_of(tmp_path, f"sep={mark}\n" + "\n".join(mark.join(row) for row in [*rows, ["", "", ""]]))
    assert told == labels


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a.npy,wave", "line 3: 2 fields where the first line has 3"),
        ("a.npy,wave,dev", "line 3: split 'dev' is none of train, val, test"),
        ("a.npy,,val", "line 3: label '' is neither a name nor a whole number from 0 to 9999"),
        ("a.npy,-1,val", "line 3: label '-1' is neither"),
        ("a.npy,1.5,val", "line 3: label '1.5' is neither"),
        ("a.npy,nan,val", "line 3: label 'nan' is neither"),
        ("a.npy,12345,val", "line 3: label '12345' is neither"),
        ("a.npy,\u0663,val", "line 3: label '\u0663' is neither"),
        ("x.npy,wave,val", "line 3: x.npy is listed on line 2 already"),
    ],
)
def test_a_line_that_makes_no_sense_is_named_and_skipped(tmp_path: Path, row: str, problem: str) -> None:
    content = f"file,label,split\nx.npy,wave,train\n{row}\ny.npy,bow,val\n"
    labels, report = labels_of(tmp_path, content, strict=False)
    assert {name: line.label for name, line in labels.lines.items()} == {"x.npy": 1, "y.npy": 0}
    assert len(report.skipped) == 1
    assert report.skipped[0].startswith(f"labels.csv, {problem}")
    with pytest.raises(ValueError, match=re.escape(problem)):
        labels_of(tmp_path, content)


LISTS = {  # the same list of labels
    "other words": "name,class,subset\nx.npy,wave,train\ny.npy,bow,val\n",
    "a comment": "# File, Class, Set\nx.npy,wave,training\ny.npy,bow,validation\n",
    "bars": "file|label|split\nx.npy|wave|train\ny.npy|bow|test\n",
    "UTF-16": "file\tlabel\tsplit\r\nx.npy\twave\ttrain\r\ny.npy\tbow\tval\r\n".encode("utf-16"),
    "JSON": '[{"file": "x.npy", "label": "wave", "split": "train"}, {"file": "y.npy", "label": "bow", "split": "val"}]',
    "JSON by name": (
        '{"x.npy": {"label": "wave", "subset": "training"}, "y.npy": {"label": "bow", "subset": "validation"}}'
    ),
}


@pytest.mark.parametrize("form", LISTS)
def test_a_list_of_labels_has_many_forms(tmp_path: Path, form: str) -> None:
    labels, _ = labels_of(tmp_path, LISTS[form])
    assert labels.classes == ["bow", "wave"]
    lines = {name: (line.label, line.part) for name, line in labels.lines.items()}
    assert lines == {"x.npy": (1, "train"), "y.npy": (0, "val")}


@pytest.mark.parametrize(
    "text", ["x.npy 1\ny.npy 0\n", "x.npy,1\ny.npy,0", '{"x.npy": 1, "y.npy": 0}', "file,class\nx.npy,1.0\ny.npy,0.0"]
)
def test_a_list_may_have_numbers_alone(tmp_path: Path, text: str) -> None:
    labels, _ = labels_of(tmp_path, text)
    assert {name: (line.label, line.part) for name, line in labels.lines.items()} == {
        "x.npy": (1, None),
        "y.npy": (0, None),
    }


def test_spans_may_be_written_as_floats(tmp_path: Path) -> None:
    labels, _ = labels_of(tmp_path, "file,label,start,end\nx.npy,wave,2.0,5.0\ny.npy,bow,,\n")
    assert {name: line.span for name, line in labels.lines.items()} == {"x.npy:2-5": (2, 5), "y.npy": None}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('[{"file": "x"}]', "entry 1 has no file and label"),
        ("", "the first line must be file,label,split, separated by commas; it is ''"),
        ("file~label~split\na~b~val", "it is 'file~label~split'"),
        ("file,label,split,file\n", "the first line must be"),
        ("file,label,split\na,wave,val\nb,3,val\n", r"labels are numbers \(3\) and names \(wave\)"),
        (b"file,label,split\n\xe4,wave,val\n", "line 2: this is not UTF-8"),
        ('file,label,split\n"a,wave,val\n', "line 2: no CSV"),
        ("file,label,split\n" + "a" * 200_000, "line 2: no CSV"),
    ],
)
def test_what_is_no_csv_of_labels_is_named(tmp_path: Path, content: str | bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as error:
        labels_of(tmp_path, content, strict=False)
    assert str(error.value).startswith(str(tmp_path / "labels.csv"))


def test_nothing_to_convert_is_named(folder: Folder) -> None:
    folder.add("a.npy", np.ones((3, 5, 3)))
    with pytest.raises(ValueError, match=r"labels.csv lists can be used; the last problem is a.npy: 5 joints"):
        folder.convert()
    with pytest.raises(ValueError, match="--channel 1 must be at least 2"):
        folder.convert("--channel", 1)
    for name, problem in (
        ("raw", "is no folder"),
        ("arm.yaml", "no such skeleton"),
        ("labels.csv", "does not exist; --label_path is a CSV file"),
    ):
        (folder.path / name).rename(folder.path / "away")
        words = ["--data_path", "raw", "--label_path", "labels.csv", "--skeleton", "arm.yaml", "--out_folder", "out"]
        with pytest.raises(FileNotFoundError, match=f"{re.escape(str(folder.path / name))}.*{problem}"):
            main([word if word.startswith("--") else str(folder.path / word) for word in words])
        (folder.path / "away").rename(folder.path / name)
    assert not (folder.path / "out").exists()


def test_a_second_run_gives_the_same_and_a_failing_one_changes_nothing(folder: Folder) -> None:
    folder.add("a.npy", moves(0, 3, 4, 3))
    folder.add("b.csv", moves(1, 5, 4, 3), "bow", "val")
    folder.convert()
    first = folder.contents()
    folder.convert()
    assert folder.contents() == first
    assert len(first) == 10
    folder.add("c.npy", b"")
    with pytest.raises(ValueError, match=r"^c\.npy"):
        folder.convert("--strict")
    assert folder.contents() == first


def fuzz_sequence(path: Path, content: bytes) -> bool:
    """Whether a file is read; what is read is of the right shape and not infinite, all else is refused."""
    path.write_bytes(content)
    try:
        recording = read_sequence(path, 4)
    except ValueError:
        return False
    assert recording.joints.shape[2] == 4
    assert recording.joints.size
    assert np.isfinite(recording.joints).all()
    assert not recording.joints[~recording.present].any()
    return True


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", [".npy", ".csv", ".json"])
@FUZZ
@given(st.binary(max_size=60) | st.text('0123456789.,-[]{}"\n\r eNnaull', max_size=60).map(str.encode))
def test_whatever_a_sequence_holds_it_is_read_or_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    fuzz_sequence(tmp_path / f"x{suffix}", content)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", [".npy", ".csv", ".json"])
@FUZZ
@given(
    st.integers(0), st.integers(0, 40), st.sampled_from([b"", b"\0", b"\xff", b"1", b",", b"]", b"nan", b"1e999", b"-"])
)
def test_a_damaged_sequence_is_read_or_refused(tmp_path: Path, suffix: str, at: int, size: int, put: bytes) -> None:
    path = tmp_path / f"x{suffix}"
    write_file(path, moves(0, 3, 4, 3))
    content = path.read_bytes()
    assert fuzz_sequence(path, content)
    at %= len(content)
    fuzz_sequence(path, content[:at] + put + content[at + size :])


NUMBER = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
NESTED = st.recursive(NUMBER, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=1))


@pytest.mark.filterwarnings("error")
@FUZZ
@given(NESTED)
def test_any_json_is_read_or_refused(tmp_path: Path, content: Any) -> None:
    fuzz_sequence(tmp_path / "x.json", json.dumps(content).encode())


WORD = st.sampled_from(
    ["a", "b", "train", "val", "test", "0", "1", "²", "-1", "1e3", "nan", "", '"', "\0", "\n"]
) | st.text(max_size=4)


def check_labels(tmp_path: Path, content: bytes) -> None:
    """Labels that are read number their classes from 0, each file in one part; all else is refused by name."""
    problem = ""
    try:
        labels, _ = labels_of(tmp_path, content, strict=False)
    except ValueError as error:
        problem = str(error)
    if problem:
        assert problem.startswith(str(tmp_path / "labels.csv"))
        return
    assert {line.part for line in labels.lines.values()} <= {"train", "val"}
    assert {line.label for line in labels.lines.values()} <= set(range(len(labels.classes)))
    assert not any(set("\r\n") & set(name) for name in labels.classes)


@FUZZ
@given(st.lists(st.lists(WORD, min_size=2, max_size=4), max_size=5))
def test_whatever_rows_hold_they_are_read_or_refused(tmp_path: Path, rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    text.write("file,label,split\n")
    for row in rows:
        text.write(",".join(row) + "\n")
    check_labels(tmp_path, text.getvalue().encode("utf-8", "replace"))


@FUZZ
@given(st.binary(max_size=60), st.booleans())
def test_whatever_bytes_labels_are_they_are_read_or_refused(tmp_path: Path, content: bytes, heading: bool) -> None:
    check_labels(tmp_path, b"file,label,split\n" * heading + content)


def docs_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def test_a_model_is_trained_on_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = next(block for block in docs_blocks("python") if "recordings" in block)
    exec(made, {})
    words = ["--data_path", "recordings", "--label_path", "labels.csv", "--skeleton", str(EXAMPLE)]
    main([*words, "--out_folder", "data/custom", "--strict"])
    small = {"channels": "[8, 8, 16]", "Nh": "2", "window_size": "8"}
    options = [word for key, value in small.items() for word in (f"--model_args.{key}", value)]
    options += ["--train_feeder_args.window_size", "8", "--test_feeder_args.window_size", "8"]
    config = "data/custom/s-tr.yaml"
    options += ["--num_epoch", "1", "--device", "cpu", "--num_worker", "0", "--precision", "float32"]
    assert program.main(["--config", config, *options]) == 0
    written = tmp_path / "work_dir" / "data" / "custom" / "s-tr"
    assert (written / "test_score.npz").is_file()
    assert "clap hands" in (written / "per_class_accuracy.csv").read_text()


def test_a_configuration_is_written_once(folder: Folder) -> None:
    folder.add("a.npy", moves(0, 5, 2, 4, 2), "wave", "train")
    folder.add("b.npy", moves(1, 3, 1, 4, 2), "clap", "val")
    folder.convert()
    out = folder.path / "out"
    config = load_config(["--config", str(out / "t-tr.yaml")])
    assert config.model_args["num_person"] == 2
    assert config.model_args["channel"] == 2
    assert config.model_args["tcn_attention"]
    assert config.train_feeder_args["center"] == 0
    assert "random_rotation" not in config.train_feeder_args
    assert config.test_feeder_args["label_path"] == str(out / "val_label.pkl")
    assert "stays as it is" not in str(folder.convert().notes)
    (out / "_base.yaml").write_text("mine", encoding="utf-8")
    report = folder.convert()
    note = next(note for note in report.notes if note.startswith("_base.yaml stays as it is"))
    assert note.endswith(
        f'these need {{"num_class": 2, "channel": 2, "num_point": 4, "num_person": 2, '
        f'"graph": "graph.custom.Graph", "graph_args": {{"path": "{out.as_posix()}/skeleton.yaml"}}}}'
    )
    assert (out / "_base.yaml").read_text(encoding="utf-8") == "mine"


@pytest.mark.slow
def test_the_documented_commands_work_as_they_are_written(tmp_path: Path) -> None:
    for name in ("config", "data_gen", "graph", "feeders", "model", "processor"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "main.py", tmp_path)
    made = next(block for block in docs_blocks("python") if "recordings" in block)
    (tmp_path / "make_example.py").write_text(made, encoding="utf-8")
    commands = [
        line for line in "".join(docs_blocks("")).replace("\\\n", "").splitlines() if line.startswith("python ")
    ]
    assert 3 <= len(commands) < 10
    for command in commands:
        words = [sys.executable, *shlex.split(command, comments=True)[1:]]
        done = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "top-1" in done.stdout


def move(path: Path, frames: int = 4, first: int | None = None) -> None:
    """A text file of four joints with a frame a line, each with its number where `first` is given."""
    lines = [" ".join(f"{value:.3f}" for value in frame.ravel()) for frame in moves(0, frames, 4, 3)]
    numbers = [""] * frames if first is None else [f"{first + t} " for t in range(frames)]
    path.write_text("\n".join(number + line for number, line in zip(numbers, lines, strict=True)), encoding="utf-8")


def convert_raw(folder: Folder, *words: Any) -> Report:
    places = ["--data_path", folder.path / "raw", "--skeleton", folder.path / "arm.yaml"]
    return main([str(word) for word in [*places, "--out_folder", folder.path / "out", "--persons", "file", *words]])


def test_names_tell_labels_and_performers(folder: Folder) -> None:
    """As in MSR Action3D and KARD; what is named otherwise is left out."""
    for name in ("a02_s01_e01", "a10_s02_e01", "a02_s03_e01", "a10_s01_e02", "a10_s11_e01"):
        move(folder.path / "raw" / f"{name}_skeleton.txt")
    move(folder.path / "raw" / "a02_s01_e01_screen.txt")
    report = convert_raw(folder, "--names", "a{label}_s{performer}_e*_skeleton", "--val", "performer=2-3,11")
    assert folder.labels() == (["a02_s01_e01_skeleton.txt", "a10_s01_e02_skeleton.txt"], [0, 1])
    assert folder.labels("val")[0] == [f"{x}_skeleton.txt" for x in ("a02_s03_e01", "a10_s02_e01", "a10_s11_e01")]
    assert (folder.path / "out" / "classes.txt").read_text() == "02\n10\n"
    left = "1 file is left out, not named a{label}_s{performer}_e*_skeleton (a02_s01_e01_screen.txt ...)"
    assert left in report.notes


def test_numbers_in_names_are_the_same_with_and_without_zeros(folder: Folder) -> None:
    for name in ("a1_s1", "a02_s1", "a01_s2"):
        move(folder.path / "raw" / f"{name}.txt")
    convert_raw(folder, "--names", "a{label}_s*")
    assert folder.labels() == (["a01_s2.txt", "a02_s1.txt", "a1_s1.txt"], [0, 1, 0])
    assert (folder.path / "out" / "classes.txt").read_text() == "01\n02\n"


def test_a_plain_list_says_what_is_for_validation(folder: Folder) -> None:
    for name in ("a1_s1", "a2_s1", "a1_s2"):
        move(folder.path / "raw" / f"{name}.txt")
    listed = folder.path / "val.txt"
    listed.write_text("a1_s2\na2_s2\n")
    report = convert_raw(folder, "--names", "a{label}_s*", "--val", listed)
    assert folder.labels("val") == (["a1_s2.txt"], [0])
    note = next(note for note in report.notes if note.startswith(f"--val {listed}"))
    assert "1 name in it is none of the recordings, such as a2_s2" in note


def test_folders_may_be_classes(folder: Folder) -> None:
    for name in ("walk/1.txt", "sit down/1.txt", "walk/2.txt"):
        (folder.path / "raw" / name).parent.mkdir(exist_ok=True)
        move(folder.path / "raw" / name)
    report = convert_raw(folder, "--names", "{label}/{take}")
    assert folder.labels() == (["sit down/1.txt", "walk/1.txt", "walk/2.txt"], [0, 1, 1])
    assert any("tells no splits, and --val is not given: all recordings are train" in note for note in report.notes)


def test_names_of_folders_with_a_file_for_each_frame_tell_labels(folder: Folder) -> None:
    for name in ("walk_1", "sit_1", "walk_2"):
        (folder.path / "raw" / name).mkdir()
        for t in range(2):
            content = {"people": [{"pose_keypoints_2d": [100.0 + t, 50.0, 0.9] * 4}]}
            (folder.path / "raw" / name / f"{name}_{t:012}_keypoints.json").write_text(json.dumps(content))
    convert_raw(folder, "--names", "{label}_{take}", "--val", "take=2", "--strict")
    assert folder.labels() == (["sit_1", "walk_1"], [0, 1])
    assert folder.labels("val") == (["walk_2"], [1])
    (folder.path / "raw").rename(folder.path / "all")
    (folder.path / "all" / "walk_1").rename(folder.path / "raw")
    with pytest.raises(ValueError, match="raw holds the frames of one recording; name the folder above it"):
        convert_raw(folder, "--names", "{label}_{take}")


def labelled(category: Any, t: int = 0) -> bytes:
    """A file of mmskeleton."""
    frames = [{"frame_index": t, "id": 0, "person_id": None, "keypoints": [[100.0 + t, 50.0, 0.9]] * 4}]
    info = {"video_name": "a.mp4", "resolution": [340, 256], "num_frame": 1, "keypoint_channels": ["x", "y", "score"]}
    return json.dumps({"info": info, "annotations": frames, "category_id": category}).encode()


def test_files_of_a_folder_may_hold_their_labels(folder: Folder) -> None:
    for name, category in (("s1_a", 2), ("s1_b", 0), ("s2_a", 2)):
        folder.add(f"{name}.json", labelled(category))
    folder.add("notes.txt", b"walks of the first day")
    report = convert_raw(folder, "--names", "s{performer}_*", "--val", "performer=2", "--num_worker", 2)
    assert folder.labels() == (["s1_a.json", "s1_b.json"], [2, 0])
    assert folder.labels("val") == (["s2_a.json"], [2])
    assert (folder.path / "out" / "classes.txt").read_text() == "0\n1\n2\n"
    assert len(report.skipped) == 1
    assert report.skipped[0].startswith("notes.txt: ")


@pytest.mark.parametrize(
    ("categories", "problem"),
    [
        ((-1, 2), "give --label_path, the list of labels of these recordings, or --names"),
        ((2, None), "raw holds no label of b.json; name a CSV file of labels with --label_path"),
        ((2, "wave"), "labels are numbers and names (wave); give one kind"),
        ((2, 10**10), "label 10000000000 of b.json is no whole number from 0 to 9999"),
    ],
)
def test_files_without_a_label_that_fits_are_named(folder: Folder, categories: Any, problem: str) -> None:
    for name, category in zip("ab", categories, strict=True):
        folder.add(f"{name}.json", labelled(category))
    with pytest.raises(ValueError, match=re.escape(problem)):
        convert_raw(folder)


def test_a_list_without_any_use_is_named(folder: Folder) -> None:
    move(folder.path / "raw" / "a_1.txt")
    (folder.path / "Label").mkdir()
    (folder.path / "Label" / "a_1.txt").write_text("1 2 10\n")
    with pytest.raises(
        ValueError, match=r"lists can be used; the last problem is a_1\.txt, line 1: '1 2 10' is no label"
    ):
        convert_raw(folder, "--label_path", folder.path / "Label", "--names", "a_{take}", "--val", "take=1")


def test_the_labels_of_utkinect_are_read(folder: Folder) -> None:
    for performer, first in ((1, 252), (2, 30)):
        move(folder.path / "raw" / f"joints_s0{performer}_e01.txt", 30, first)
    list_ = folder.path / "raw" / "actionLabel.txt"
    list_.write_text("s01_e01\nwalk: 252 260\nsitDown: 262  281 \ns02_e01\nwalk: 30 40\nsitDown: NaN NaN\n")
    report = convert_raw(
        folder, "--label_path", list_, "--names", "joints_s{performer}_e*", "--val", "performer=2", "--strict"
    )
    assert folder.labels() == (["joints_s01_e01.txt:252-260", "joints_s01_e01.txt:262-281"], [1, 0])
    assert folder.labels("val") == (["joints_s02_e01.txt:30-40"], [1])
    assert np.load(folder.path / "out" / "train_length.npy").tolist() == [9, 20]
    assert "actionLabel.txt, line 6: sitDown has no frames, and is left out" in report.notes


def test_the_labels_and_splits_of_pku_mmd_are_read(folder: Folder) -> None:
    labels = folder.path / "Label"
    labels.mkdir()
    for name, lines in (("0002-L", "10,3,8,2\n2,10,19,1\n"), ("0003-M", "2,1,4,2\nnothing\n")):
        move(folder.path / "raw" / f"{name}.txt", 20)
        (labels / f"{name}.txt").write_text(lines)
    split = folder.path / "cross-subject.txt"
    split.write_text("Training videos: \n0002-L, 0002-M\n\nValidataion videos: \n0003-L, 0003-M\n")
    report = convert_raw(folder, "--label_path", labels, "--val", split)
    assert folder.labels() == (["0002-L.txt:10-19", "0002-L.txt:3-8"], [0, 1])
    assert folder.labels("val") == (["0003-M.txt:1-4"], [0])
    assert (folder.path / "out" / "classes.txt").read_text() == "2\n10\n"
    assert report.skipped == ["0003-M.txt, line 2: 'nothing' is no label,start,end"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--names", "a{}_s*"), "{} is no name of a field, such as {label}"),
        (("--names", "a*"), "name at least one field"),
        (("--names", "{a}{b}"), "nothing is between two fields"),
        (("--names", "s{label}_*"), "no recording has such a name; a1_s1.txt is none"),
        (("--names", "a{class}_s*"), "give --label_path, the list of labels of these recordings, or --names"),
        (("--names", "a{label}_s{who}", "--val", "whom=1"), "has no field whom (did you mean 'who'?)"),
        (("--names", "a{label}_s{who}", "--val", "who=1,7"), "no recording has who 7; there are 1, 2"),
        (("--names", "a{label}_s{who}", "--val", "who=1-2"), "all of 2 recordings would be for validation"),
        (("--names", "a{label}_s{who}", "--val", "split.txt"), "--val split.txt: there is no such file"),
    ],
)
def test_wrong_names_and_splits_are_refused(folder: Folder, words: Any, problem: str) -> None:
    for name in ("a1_s1", "a2_s2"):
        move(folder.path / "raw" / f"{name}.txt")
    with pytest.raises((ValueError, OSError), match=re.escape(problem)):
        convert_raw(folder, *words)
    assert not (folder.path / "out").exists()


@pytest.mark.parametrize(
    "content",
    [
        {
            "split": {"train": ["x"]},
            "annotations": [{"frame_dir": "x", "label": 0, "total_frames": 3, "keypoint": "no"}],
        },
        {"split": {}, "annotations": []},
    ],
    ids=["broken", "none"],
)
def test_a_file_of_which_nothing_can_be_used_is_told(tmp_path: Path, content: Any) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    (tmp_path / "arm.yaml").write_text(ARM)
    words = ["--data_path", tmp_path / "a.pkl", "--skeleton", tmp_path / "arm.yaml", "--out_folder", tmp_path / "out"]
    with pytest.raises(ValueError, match=r"a\.pkl: no recording can be used"):
        main([*map(str, words)])
    assert not (tmp_path / "out").exists()


def test_far_too_many_frames_are_told(folder: Folder) -> None:
    folder.add("a.npy", moves(0, 5, 4, 3))
    folder.add("b.npy", moves(1, 5, 4, 3), "bow", "val")
    with pytest.raises(ValueError, match="free"):
        folder.convert("--max_frame", 10**9)


def test_a_skeleton_may_be_utf_16(folder: Folder) -> None:
    folder.add("a.npy", moves(0, 5, 4, 3))
    (folder.path / "arm.yaml").write_bytes(ARM.encode("utf-16"))
    report = folder.convert()
    assert "no recording is for validation: give a split or --val before you train a model" in report.notes
    assert (folder.path / "out" / "skeleton.yaml").read_text(encoding="utf-8") == ARM


def test_recordings_for_validation_alone_are_told(folder: Folder) -> None:
    folder.add("a.npy", moves(0, 5, 4, 3), split="val")
    assert "no recording is for training: give a split or --val before you train a model" in folder.convert().notes


def test_splits_in_a_file_that_become_one_are_told(tmp_path: Path) -> None:
    names = {"train": ["a"], "val": ["b"], "test": ["c"]}
    clips = [{"frame_dir": n, "label": 0, "total_frames": 5, "keypoint": moves(0, 1, 5, 4, 3)} for n in "abc"]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"split": names, "annotations": clips}))
    (tmp_path / "arm.yaml").write_text(ARM)
    words = ["--data_path", tmp_path / "a.pkl", "--skeleton", tmp_path / "arm.yaml", "--out_folder", tmp_path / "out"]
    assert "a.pkl names test and val: val_data_joint.npy holds both together" in main([*map(str, words)]).notes


def test_classes_in_npz_are_whole_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=moves(0, 3, 5, 12), y_train=np.array([0.7, 2, 1]))
    (tmp_path / "arm.yaml").write_text(ARM)
    words = ["--data_path", tmp_path / "a.npz", "--skeleton", tmp_path / "arm.yaml", "--out_folder", tmp_path / "out"]
    with pytest.raises(ValueError, match=r"y_train holds 0\.7, which is no class"):
        main([*map(str, words)])
