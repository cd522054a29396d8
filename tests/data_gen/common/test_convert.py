"""The conversion engine reads, skips, cuts, pads and writes."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from data_gen.common import parallel
from data_gen.common.command_line import Report
from data_gen.common.convert import (
    Row,
    Sample,
    drop_unusual,
    made_by,
    read_each,
    to_row,
    write_arrays,
    write_sequences,
)
from feeders.arrays import load_lengths, load_missing, load_prepared
from graph.channels import Channels
from graph.common.files import VERSION


def read(number: int) -> int:
    if number == 2:
        raise ValueError("two is no number")
    if number == 3:
        raise FileNotFoundError(2, "No such file or directory")
    return number * number


@pytest.mark.parametrize("num_worker", [1, 2])
def test_what_cannot_be_read_is_skipped_and_reported(monkeypatch: pytest.MonkeyPatch, num_worker: int) -> None:
    monkeypatch.setattr(parallel, "_ITEMS_WORTH_A_PROCESS", 1)
    report = Report()
    results = read_each(read, {f"n{n}": n for n in range(20)}, report, nothing="nothing", num_worker=num_worker)
    assert dict(results) == {f"n{n}": n * n for n in range(20) if n not in (2, 3)}
    assert report.skipped == ["n2: two is no number", "n3: cannot be read (No such file or directory)"]


def test_nothing_to_read_is_an_error_with_an_example() -> None:
    with pytest.raises(ValueError, match=r"^nothing; the last problem is b: cannot be read \(No such"):
        list(read_each(read, {"a": 2, "b": 3}, Report(), nothing="nothing"))
    with pytest.raises(ValueError, match=r"^nothing$"):
        list(read_each(read, {}, Report(), nothing="nothing"))
    with pytest.raises(ValueError, match=r"^a: two is no number$"):
        list(read_each(read, {"a": 2, "b": 3}, Report(strict=True), nothing="nothing"))


@pytest.mark.parametrize(("T", "M"), [(2, 1), (5, 2), (7, 3)])
def test_a_row_is_cut_and_padded(T: int, M: int) -> None:
    joints = np.random.default_rng(0).normal(size=(T, M, 4, 3))
    row = to_row(joints, 5, 2)
    assert (row.x.shape, row.x.dtype, row.num_frame, row.num_person) == ((3, 5, 4, 2), np.float32, T, M)
    for c, t, v, m in np.ndindex(row.x.shape):
        assert row.x[c, t, v, m] == (np.float32(joints[t, m, v, c]) if t < T and m < M else 0)


def test_a_row_without_a_body_is_refused() -> None:
    joints = np.zeros((7, 1, 4, 3))
    with pytest.raises(ValueError, match=r"^no body in any frame$"):
        to_row(joints, 7, 1)
    joints[6] = 1
    with pytest.raises(ValueError, match=r"^no body in any of the first 5 frames$"):
        to_row(joints, 5, 1)


@pytest.mark.parametrize(("T", "M"), [(2, 1), (5, 2), (7, 3)])
def test_what_is_not_present_is_zero_and_missing_where_the_person_is_there(T: int, M: int) -> None:
    rng = np.random.default_rng(0)
    joints, present = rng.normal(size=(T, M, 4, 3)), rng.random((T, M, 4)) < 0.6
    present[1, 0], present[0, 0, :2] = False, (True, False)
    joints[~present] = np.nan
    row = to_row(joints, 5, 2, present)
    assert row.missing is not None
    for t, v, m in np.ndindex(5, 4, 2):
        inside = t < T and m < M
        assert row.missing[t, v, m] == (inside and present[t, m].any() and not present[t, m, v])
        expected = joints[t, m, v].astype(np.float32) if inside and present[t, m, v] else np.zeros(3)
        np.testing.assert_array_equal(row.x[:, t, v, m], expected)
    assert to_row(np.nan_to_num(joints), 5, 2, np.ones_like(present)).missing is None
    with pytest.raises(ValueError, match=r"^no body in any"):
        to_row(joints, 5, 2, np.zeros_like(present))


METRES = Channels(("x", "y", "z"), "metres")


def write(folder: Path, rows: Sequence[Row], *, error: type[BaseException] | None = None, **about: Any) -> None:
    samples = [Sample(f"s{number}", number, ("train_data_joint.npy",)) for number in range(len(rows))]

    def pairs() -> Iterator[tuple[Sample, Row]]:
        yield from zip(samples, rows, strict=True)
        if error:
            raise error

    write_arrays(folder, ["train_data_joint.npy"], samples, pairs(), Report(), row_shape=(3, 5, 4, 2), **about)


def test_lengths_masks_and_the_preparation_are_written_beside_an_array(tmp_path: Path) -> None:
    ones, missing = np.ones((3, 5, 4, 2), np.float32), np.zeros((3, 5, 4, 2), bool)
    missing[1, 2, 3, 1] = missing[2, 1, 0, 0] = True
    rows = [
        Row(ones, 9, 2),
        Row(ones, 3, 2, missing[1]),
        Row(ones[:, :2], 7, 2, missing[2, :2], np.array([0, 1, 0, 1, 0]), 2),
    ]
    made = made_by("some_gendata.py", channel=3, max_frame=None)
    write(tmp_path, rows, channels=METRES, frame_rate=25.0, made=made)
    path = tmp_path / "train_data_joint.npy"
    np.testing.assert_array_equal(load_lengths(path), [5, 3, 2])
    missing[2] = missing[2, [0, 1, 0, 1, 0]]
    mask = load_missing(path)
    assert mask is not None
    np.testing.assert_array_equal(np.stack([mask[n] for n in range(3)]), missing)
    prepared = load_prepared(path)
    assert prepared is not None
    assert (prepared.channels, prepared.frame_rate) == (METRES, 25)
    assert f'version="{VERSION}"' in (ROOT / "setup.py").read_text()
    assert prepared.made == {"script": "some_gendata.py", "options": {"channel": 3}, "version": VERSION}


def test_files_of_earlier_arrays_are_never_mixed_with_new_ones(tmp_path: Path) -> None:
    row = Row(np.ones((3, 5, 4, 2), np.float32), 5, 2)
    write(tmp_path, [row._replace(missing=np.ones((5, 4, 2), bool))], channels=METRES)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before.keys() > {"train_missing.npy", "train_length.npy", "prepared.yaml"}
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, [row, row], error=KeyboardInterrupt)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "train_missing.npy.1.tmp").write_bytes(b"half")  # of a killed run
    write(tmp_path, [row, row])
    assert {path.name for path in tmp_path.iterdir()} == {"train_data_joint.npy", "train_label.pkl", "train_length.npy"}
    assert np.load(tmp_path / "train_length.npy").tolist() == [5, 5]


def test_a_sample_goes_to_several_arrays_and_cuts_are_reported(tmp_path: Path) -> None:
    a, b = Sample("a", 1, ("x/train_data.npy", "y/val_data.npy")), Sample("b", 0, ("x/train_data.npy",))
    ones = np.ones((3, 5, 4, 2), np.float32)
    arrays = ["x/train_data.npy", "x/val_data.npy", "y/val_data.npy"]
    rows = ((sample, Row(ones * sample.label, 6, 3)) for sample in (a, b))
    report = Report()
    write_arrays(tmp_path, arrays, [a, b], rows, report, row_shape=ones.shape, unit="clip", texts={"c.txt": "d"})
    assert {path: shape[0] for path, shape in report.written.items()} == {
        tmp_path / "x/train_data.npy": 2,
        tmp_path / "x/val_data.npy": 0,
        tmp_path / "y/val_data.npy": 1,
    }
    assert np.load(tmp_path / "x" / "train_data.npy").mean(axis=(1, 2, 3, 4)).tolist() == [1, 0]
    assert pickle.loads((tmp_path / "x" / "train_label.pkl").read_bytes()) == (["a", "b"], [1, 0])
    assert pickle.loads((tmp_path / "y" / "val_label.pkl").read_bytes()) == (["a"], [1])
    assert (tmp_path / "c.txt").read_text() == "d"
    assert report.notes == [
        "2 clips have more than 5 frames; the first 5 are kept",
        "2 clips have more than 2 persons; the first 2 are kept",
    ]


def test_sequences_in_memory_are_padded_to_the_longest(tmp_path: Path) -> None:
    sequences = [(Sample(f"s{T}", 0, ("train_data.npy",)), np.ones((T, 1, 4, 2)), None) for T in (2, 6, 3)]
    write_sequences(tmp_path, ["train_data.npy"], sequences, Report())
    array = np.load(tmp_path / "train_data.npy")
    assert array.shape == (3, 2, 6, 4, 1)
    assert array.any(axis=(1, 3, 4)).sum(axis=1).tolist() == [2, 6, 3]


def test_sequences_may_tell_which_joints_are_present(tmp_path: Path) -> None:
    present = np.ones((6, 1, 4), bool)
    present[2, 0, 3] = False
    sequences = [
        (Sample("all", 0, ("train_data_joint.npy",)), np.ones((2, 1, 4, 2))),
        (Sample("some", 0, ("train_data_joint.npy",)), np.ones((6, 1, 4, 2)), present),
    ]
    write_sequences(tmp_path, ["train_data_joint.npy"], sequences, Report(), channels=Channels(("x", "y")))
    missing = load_missing(tmp_path / "train_data_joint.npy")
    assert missing is not None
    assert [np.argwhere(missing[number]).tolist() for number in range(2)] == [[], [[2, 3, 0]]]
    np.testing.assert_array_equal(load_lengths(tmp_path / "train_data_joint.npy"), [2, 6])


def test_inputs_of_another_kind_than_most_are_left_out() -> None:
    report, results = Report(), {"a": 3, "b": 2, "c": 3}
    drop_unusual(results, lambda number: f"{number} channels", report, unit="file")
    assert results == {"a": 3, "c": 3}
    assert report.skipped == ["b: 2 channels, where most files have 3 channels"]
