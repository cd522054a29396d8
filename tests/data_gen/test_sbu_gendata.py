"""SBU becomes arrays of its five folds, in metres; what is no sequence is named."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_gen.formats.reading import read
from data_gen.sbu_gendata import TEST_PAIRS, gendata, main
from graph.sbu import SKELETON

FOLDS = range(1, 6)


def write_sequence(folder: Path, name: str = "s01s02/01/001", num_frame: int = 3, start: int = 55) -> np.ndarray:
    """Write a made-up sequence; returns the numbers as recorded, (T, M, V, C)."""
    recorded = np.random.default_rng(num_frame).uniform(0.1, 1.5, (num_frame, 2, 15, 3)).round(5)
    lines = [f"{start + t}," + ",".join(map(str, frame.ravel())) for t, frame in enumerate(recorded)]
    path = folder / name / "skeleton_pos.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes("\r\n".join([*lines, ""]).encode())
    return recorded


def read_fold(folder: Path, fold: int, part: str) -> tuple[np.ndarray, list[str], list[int]]:
    names, labels = pickle.loads((folder / f"fold{fold}" / f"{part}_label.pkl").read_bytes())
    return np.load(folder / f"fold{fold}" / f"{part}_data_joint.npy"), names, labels


def test_the_complete_data_set(samples: Path, tmp_path: Path) -> None:
    source = samples / "sbu_interaction"
    report = gendata(source, tmp_path, strict=True)
    assert report.skipped == report.notes == []
    tested: list[str] = []
    for fold, count in zip(FOLDS, (55, 52, 56, 54, 65), strict=True):
        val, val_names, val_labels = read_fold(tmp_path, fold, "val")
        train, train_names, train_labels = read_fold(tmp_path, fold, "train")
        assert val.shape == (count, 3, 46, 15, 2)
        assert train.shape == (282 - count, 3, 46, 15, 2)
        assert val_names == sorted(val_names)
        assert {name[:6] for name in val_names} == set(TEST_PAIRS[fold - 1])
        assert sorted(train_names + val_names) == sorted(
            "_".join(path.relative_to(source).parts[:3]) for path in source.glob("*/*/*/*.txt")
        )
        assert set(val_labels) == set(train_labels) == set(range(8))
        assert all(int(name[7:9]) - 1 == label for name, label in zip(val_names, val_labels, strict=True))
        tested += val_names
    assert len(set(tested)) == len(tested) == 282
    assert len({pair for pairs in TEST_PAIRS for pair in pairs}) == sum(map(len, TEST_PAIRS)) == 21
    # a body's measures: bones of 10 to 50 cm that keep their lengths, left as long as right
    frames = train.transpose(0, 2, 4, 3, 1).reshape(-1, 15, 3)
    frames = frames[frames.any(axis=(1, 2))]
    bones = np.linalg.norm(frames - frames[:, SKELETON.parents], axis=2)
    length = np.delete(bones.mean(axis=0), SKELETON.joints.index("torso"))
    assert (length > 0.1).all()
    assert (length < 0.5).all()
    assert bones.std(axis=0).max() < 0.1
    np.testing.assert_allclose(bones.mean(axis=0), bones.mean(axis=0)[list(SKELETON.partners)], atol=0.02)
    up = frames[:, :, 1].mean(axis=0)
    assert up[SKELETON.joints.index("head")] > up[SKELETON.joints.index("left foot")] + 1


def test_inner_folds_hold_nothing_that_their_outer_fold_tests(samples: Path, tmp_path: Path) -> None:
    source = samples / "sbu_interaction"
    gendata(source, tmp_path, split="inner")
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]
    for fold, validates in zip(FOLDS, (2, 3, 4, 5, 1), strict=True):
        val, val_names, _ = read_fold(tmp_path / "inner", fold, "val")
        train, train_names, _ = read_fold(tmp_path / "inner", fold, "train")
        assert val.shape[1:] == train.shape[1:] == (3, 46, 15, 2)
        assert {name[:6] for name in val_names} == set(TEST_PAIRS[validates - 1])
        pairs = {pair for number in FOLDS if number not in (fold, validates) for pair in TEST_PAIRS[number - 1]}
        assert {name[:6] for name in train_names} == pairs


def test_coordinates_are_the_data_sets_in_metres(tmp_path: Path) -> None:
    recorded = write_sequence(tmp_path / "raw", "s06s04/07/002", 4, start=617)
    write_sequence(tmp_path / "raw", "s01s03/08/001", 6)
    gendata(tmp_path / "raw", tmp_path / "out", strict=True)
    val, names, labels = read_fold(tmp_path / "out", 1, "val")
    assert (names, labels) == (["s06s04_07_002"], [6])
    assert val.shape == (1, 3, 6, 15, 2)
    assert not val[:, :, 4:].any()
    for t, m, v in np.ndindex(4, 2, 15):
        x, y, z = recorded[t, m, v]
        millimetres = 1280 - 2560 * x, 960 - 1920 * y, 10000 * z / 7.8125  # as the data set's page has it
        np.testing.assert_allclose(val[0, :, t, v, m], np.divide(millimetres, 1000), rtol=1e-5, atol=1e-6)
    for fold in FOLDS:
        assert ("s06s04_07_002" in read_fold(tmp_path / "out", fold, "val")[1]) == (fold == 1)
        assert ("s01s03_08_001" in read_fold(tmp_path / "out", fold, "val")[1]) == (fold == 3)


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\r\n")[:-1]


def changed(line: int, field: int, value: bytes) -> object:
    """An edit of a file's lines: field `field` of line `line` (from 0) becomes `value`."""

    def edit(lines: list[bytes]) -> list[bytes]:
        fields = lines[line].split(b",")
        fields[field : field + 1] = [value] if value != b"-" else []
        return [*lines[:line], b",".join(fields), *lines[line + 1 :]]

    return edit


def test_a_joint_without_its_numbers_is_missing(tmp_path: Path) -> None:
    write_sequence(tmp_path / "raw", "s01s02/01/001")
    path = tmp_path / "raw" / "s01s02" / "01" / "001" / "skeleton_pos.txt"
    lines = lines_of(path)
    for line, field, value in ((0, 5, b""), (1, 7, b"nan")):
        lines = changed(line, field, value)(lines)  # type: ignore[operator]
    path.write_bytes(b"\r\n".join(lines))
    gendata(tmp_path / "raw", tmp_path / "out", strict=True)
    array = read_fold(tmp_path / "out", 1, "val")[0][0]
    assert not array[:, 0, 1, 0].any()
    assert not array[:, 1, 2, 0].any()
    assert np.count_nonzero(~array[:, : len(lines)].any(axis=0)) == 2
    bits = np.unpackbits(np.load(tmp_path / "out" / "fold1" / "val_missing.npy")[0])
    assert np.flatnonzero(bits).tolist() == [2 * 1, 2 * (15 + 2)]


BROKEN = {
    "empty": (lambda lines: [], "the file is empty"),
    "short line": (changed(1, 90, b"-"), "line 2: 91 numbers expected, found 90"),
    "long line": (changed(1, 90, b"1,2"), "line 2: 91 numbers expected, found 92"),
    "word": (changed(0, 5, b"x"), "line 1: 'x' is no number"),
    "bytes": (changed(0, 5, b"\xff\x00"), r"line 1: '\\xff\\x00' is no number"),
    "empty line": (lambda lines: [lines[0], b"", lines[1]], "line 2: 91 numbers expected, found 0"),
    "infinite": (changed(1, 7, b"-inf"), "line 2: a number is no position"),
    "huge": (changed(1, 7, b"1e30"), "line 2: a number is no position"),
    "frame lost": (lambda lines: [lines[0], lines[2]], "line 2: the frame number does not follow"),
    "frame twice": (lambda lines: [lines[0], lines[0]], "line 2: the frame number does not follow"),
    "frame nan": (changed(0, 0, b"nan"), "line 1: the frame number does not follow"),
    "person away": (
        lambda lines: [lines[0], b",".join(lines[1].split(b",")[:46] + [b"0"] * 45)],
        "line 2: all numbers of a person are zero",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named_and_skipped(tmp_path: Path, case: str) -> None:
    edit, problem = BROKEN[case]
    write_sequence(tmp_path / "raw", "s01s02/01/001")
    write_sequence(tmp_path / "raw", "s01s02/02/001")
    path = tmp_path / "raw" / "s01s02" / "02" / "001" / "skeleton_pos.txt"
    path.write_bytes(b"\r\n".join(edit(lines_of(path))))  # type: ignore[operator]
    report = gendata(tmp_path / "raw", tmp_path / "out")
    assert len(report.skipped) == 1
    assert re.search(problem, report.skipped[0])
    assert report.skipped[0].startswith(str(Path("s01s02/02/001/skeleton_pos.txt")))
    assert read_fold(tmp_path / "out", 1, "val")[1] == ["s01s02_01_001"]
    with pytest.raises(ValueError, match=problem):
        main(["--data_path", str(tmp_path / "raw"), "--out-folder", str(tmp_path / "strict"), "--strict"])
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize("name", ["s01s02/09/001", "s01s02/1/001", "s01s04/01/001", "s01s02/01/1", "a/b/c"])
def test_folders_that_are_not_of_the_data_set_are_named(tmp_path: Path, name: str) -> None:
    write_sequence(tmp_path / "raw", name)
    with pytest.raises(ValueError, match=r"no sequence of SBU .* there; the last problem is .*: no folder of SBU"):
        gendata(tmp_path / "raw", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_or_absent_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no sequence of SBU \(s01s02/01/001/skeleton_pos\.txt\) there$"):
        gendata(tmp_path, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="absent is no folder: unpack"):
        gendata(tmp_path / "absent", tmp_path / "out")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_garbled_files_make_a_named_error_or_a_sound_sample(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "s01s02" / "01" / "001" / "skeleton_pos.txt"
    if not path.exists():
        write_sequence(tmp_path)
    content = path.read_bytes()
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(content))] * 2)))
    inserted = data.draw(st.one_of(st.binary(max_size=9), st.text("0123456789.,-e\r\n", max_size=9).map(str.encode)))
    garbled = tmp_path / "garbled.txt"
    garbled.write_bytes(content[:begin] + inserted + content[end:])
    try:
        (recording,) = read(garbled, "sbu")
    except ValueError as error:
        message = str(error)
    else:
        assert recording.joints.shape[1:] == (2, 15, 3)
        assert np.isfinite(recording.joints).all()
        assert not recording.joints[~recording.present].any()
        return
    assert message.startswith(("line ", "the file is empty"))
