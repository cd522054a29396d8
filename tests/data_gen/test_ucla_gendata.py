"""NW-UCLA becomes arrays of its cross-view split, coordinates and lengths untouched."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_gen.formats.reading import read
from data_gen.ucla_gendata import gendata, main
from processor.results.ledger import copies


def write_sequence(folder: Path, name: str, num_frame: int = 3, **changes: object) -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    joints = np.random.default_rng(num_frame).normal(size=(num_frame, 20, 3))
    content = {"file_name": name, "skeletons": joints.tolist(), "label": 1, **changes}
    (folder / f"{name}.json").write_text(json.dumps(content))
    return joints


def test_the_complete_data_set(samples: Path, tmp_path: Path) -> None:
    source = samples / "nw_ucla" / "all_sqe"
    report = gendata(source, tmp_path, strict=True)
    assert report.skipped == []
    for part, count, views in (("train", 1020, "12"), ("val", 464, "3")):
        names, labels = pickle.loads((tmp_path / f"{part}_label.pkl").read_bytes())
        array = np.load(tmp_path / f"{part}_data_joint.npy", mmap_mode="r")
        assert array.shape == (count, 3, 201, 20, 1)
        assert array.dtype == np.float32
        assert names == sorted(names)
        assert len(names) == len(labels) == count
        assert {name[-6] for name in names} == set(views)
        assert set(labels) == set(range(10))
        for index in (0, count // 3, count - 1):
            content = json.loads((source / names[index]).read_text())
            joints = np.array(content["skeletons"])
            assert labels[index] == content["label"] - 1
            np.testing.assert_allclose(array[index, :, : len(joints), :, 0], joints.transpose(2, 0, 1), rtol=1e-6)
            assert not array[index, :, len(joints) :].any()
    assert max(Counter(labels).values()) < 100
    unseen = (tmp_path / "val_unseen.txt").read_text().split()
    assert len(unseen) == 369
    files = ("train_data_joint.npy", "train_label.pkl", "val_data_joint.npy", "val_label.pkl")
    assert set(copies(*(str(tmp_path / file) for file in files)) or ()) == {*names} - {*unseen}
    assert {name[:3] for name in names} - {name[:3] for name in unseen} == {"a02", "a03"}


def test_test_sequences_that_were_trained_on_are_told(tmp_path: Path) -> None:
    write_sequence(tmp_path / "raw", "a01_s01_e00_v01", 4)
    write_sequence(tmp_path / "raw", "a01_s01_e00_v03", 4)
    write_sequence(tmp_path / "raw", "a01_s01_e01_v03", 5)
    report = gendata(tmp_path / "raw", tmp_path / "out")
    assert (tmp_path / "out" / "val_unseen.txt").read_text() == "a01_s01_e01_v03.json\n"
    assert "1 of 2 test sequences is a copy of a training one" in report.notes[-1]


def names_in(folder: Path, part: str) -> list[str]:
    names: list[str] = pickle.loads((folder / f"{part}_label.pkl").read_bytes())[0]
    return names


def test_folds_of_the_training_views_hold_nothing_of_the_test_view(tmp_path: Path) -> None:
    for performer in (1, 2, 3, 10):
        for view in (1, 2, 3):
            write_sequence(tmp_path / "raw", f"a01_s{performer:02}_e00_v{view:02}", 3 * performer + view)
    arguments = ["--data_path", str(tmp_path / "raw"), "--out_folder", str(tmp_path / "out"), "--split"]
    main([*arguments, "views"])
    main([*arguments, "performers"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["performers", "views"]
    views = tmp_path / "out" / "views"
    first = [f"a01_s{performer}_e00_v01.json" for performer in ("01", "02", "03", "10")]
    second = [f"a01_s{performer}_e00_v02.json" for performer in ("01", "02", "03", "10")]
    assert (names_in(views / "fold1", "train"), names_in(views / "fold1", "val")) == (first, second)
    assert (names_in(views / "fold2", "train"), names_in(views / "fold2", "val")) == (second, first)
    assert (views / "fold1" / "val_unseen.txt").read_text().split() == second
    performers = tmp_path / "out" / "performers"
    held_out = {fold: {name[4:7] for name in names_in(performers / f"fold{fold}", "val")} for fold in (1, 2, 5)}
    assert held_out == {1: {"s01", "s02"}, 2: {"s03"}, 5: {"s10"}}
    for fold in (1, 2, 3, 4, 5):
        names = names_in(performers / f"fold{fold}", "train") + names_in(performers / f"fold{fold}", "val")
        assert sorted(names) == sorted(first + second)
    # the longest sequence is of view 3: rows are as in the cross-view split
    assert np.load(views / "fold1" / "val_data_joint.npy").shape == (4, 3, 33, 20, 1)


def test_folds_of_the_complete_data_set(samples: Path, tmp_path: Path) -> None:
    source = samples / "nw_ucla" / "all_sqe"
    shapes = {
        path.relative_to(tmp_path).as_posix(): shape[0]
        for path, shape in gendata(source, tmp_path, split="views").written.items()
    }
    assert shapes == {
        "views/fold1/train_data_joint.npy": 516,
        "views/fold1/val_data_joint.npy": 504,
        "views/fold2/train_data_joint.npy": 504,
        "views/fold2/val_data_joint.npy": 516,
    }


def test_sequences_are_padded_to_the_longest_of_both_parts(tmp_path: Path) -> None:
    joints = write_sequence(tmp_path / "raw", "a02_s01_e00_v01", 4, label=2)
    write_sequence(tmp_path / "raw", "a01_s01_e00_v03", 7, label=1)
    write_sequence(tmp_path / "raw", "a01_s01_e00_v02", 1, label=10)
    gendata(tmp_path / "raw", tmp_path / "out")
    train = np.load(tmp_path / "out" / "train_data_joint.npy")
    assert train.shape == (2, 3, 7, 20, 1)
    np.testing.assert_allclose(train[1, :, :4, :, 0], joints.transpose(2, 0, 1), rtol=1e-6)
    assert not train[1, :, 4:].any()
    names, labels = pickle.loads((tmp_path / "out" / "train_label.pkl").read_bytes())
    assert (names, labels) == (["a01_s01_e00_v02.json", "a02_s01_e00_v01.json"], [9, 1])


def test_a_joint_at_the_camera_or_without_numbers_is_missing(tmp_path: Path) -> None:
    joints = np.random.default_rng(0).normal(size=(3, 20, 3))
    joints[1, 4], joints[2, 7, 1] = 0, np.nan
    write_sequence(tmp_path / "raw", "a01_s01_e00_v01", skeletons=joints.tolist())
    gendata(tmp_path / "raw", tmp_path / "out", strict=True)
    array = np.load(tmp_path / "out" / "train_data_joint.npy")
    assert not array[0, :, 1, 4].any()
    assert not array[0, :, 2, 7].any()
    bits = np.unpackbits(np.load(tmp_path / "out" / "train_missing.npy")[0])[: 3 * 20]
    assert np.flatnonzero(bits).tolist() == [1 * 20 + 4, 2 * 20 + 7]


BROKEN = {
    "a01_s01_e01_v01": (b'{"label": 1,\n "skeletons": [[', "line 2, column 17: no JSON"),
    "a01_s01_e02_v01": (b'{"label": 1}', "it has no 'skeletons'"),
    "a01_s01_e03_v01": (b"[1, 2]", "not of the form"),
    "a01_s01_e04_v01": (b'{"label": 1, "skeletons": [[[1, 2, 3], [1, 2]]]}', "not of the form"),
    "a01_s01_e05_v01": (b'{"label": 1, "skeletons": []}', r"shape \[T\]\[20\]\[3\] expected, found \[0\]"),
    "a01_s01_e06_v01": (b'{"label": 1, "skeletons": [[[1, 2, 3]]]}', r"found \[1, 1, 3\]"),
    "a01_s01_e07_v01": (b"[" * 100_000, "no JSON that can be read"),
    "a01_s01_e08_v01": (b"\xff\xfe\x00", "no JSON that can be read"),
    "a01_s01_e09_v01": (b"", "line 1, column 1: no JSON"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_and_skipped(tmp_path: Path, name: str) -> None:
    write_sequence(tmp_path / "raw", "a01_s01_e00_v01")
    content, problem = BROKEN[name]
    (tmp_path / "raw" / f"{name}.json").write_bytes(content)
    report = gendata(tmp_path / "raw", tmp_path / "out")
    assert len(report.skipped) == 1
    assert len(np.load(tmp_path / "out" / "train_data_joint.npy")) == 1
    with pytest.raises(ValueError, match=rf"^{name}\.json.*{problem}"):
        gendata(tmp_path / "raw", tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize(
    ("name", "changes", "problem"),
    [
        ("a01_s01_e01_v01", {"label": 0}, "label 0 is none of 1 to 10"),
        ("a01_s01_e01_v01", {"label": 11}, "label 11 is none of 1 to 10"),
        ("a01_s01_e01_v01", {"label": True}, "label True is none of 1 to 10"),
        ("a01_s01_e01_v01", {"label": "1"}, "label '1' is none of 1 to 10"),
        ("a01_s01_e01_v01", {"skeletons": [[[float("inf")] * 3] * 20]}, "no position in metres"),
        ("a01_s01_e01_v01", {"skeletons": [[[10**400] * 3] * 20]}, "not of the form"),
        ("a01_s01_e01_v01", {"skeletons": [[[0] * 3] * 20]}, "no body in any frame"),
        ("a01_s01_e01_v01", {"skeletons": [[[float("nan")] * 3] * 20]}, "no body in any frame"),
        ("a01_s01_e01_v04", {}, "no NW-UCLA name"),
        ("walking", {}, "no NW-UCLA name"),
    ],
)
def test_contents_that_make_no_sense_are_named(
    tmp_path: Path, name: str, changes: dict[str, object], problem: str
) -> None:
    write_sequence(tmp_path / "raw", name, **changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=rf"{name}\.json.*{problem}"):
        main(["--data_path", str(tmp_path / "raw"), "--out-folder", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_folder_without_sequences_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no sequence of NW-UCLA's JSON form there$"):
        gendata(tmp_path, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="absent is no folder: unpack"):
        gendata(tmp_path / "absent", tmp_path / "out")


NUMBER = st.floats(width=32) | st.integers(-(10**400), 10**400) | st.sampled_from([1e-50, 1e300, 0.0])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.sampled_from(["skeletons", "label"]), inside),
    max_leaves=10,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    skeletons=JSON | st.lists(st.lists(st.lists(NUMBER, min_size=3, max_size=3), min_size=20, max_size=20)), label=JSON
)
def test_strange_content_is_a_sequence_or_named(tmp_path: Path, skeletons: object, label: object) -> None:
    path = tmp_path / "a01_s01_e00_v01.json"
    path.write_text(json.dumps({"skeletons": skeletons, "label": label}))
    check(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_named(tmp_path: Path, data: st.DataObject) -> None:
    write_sequence(tmp_path, "a01_s01_e00_v01", 1)
    path = tmp_path / "a01_s01_e00_v01.json"
    content = bytearray(path.read_bytes()[: data.draw(st.integers(0, 1600))])
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, 1599), st.integers(0, 255)), max_size=4)):
        content[place : place + 1] = bytes([byte])
    path.write_bytes(bytes(content))
    check(path)


def check(path: Path) -> None:
    try:
        (recording,) = read(path, "nw-ucla")
    except ValueError as error:
        problem = str(error)
    else:
        assert recording.joints.shape[1:] == (1, 20, 3)
        assert np.isfinite(recording.joints).all()
        assert recording.joints.any()
        assert recording.label in range(10)
        return
    assert "\n" not in problem
