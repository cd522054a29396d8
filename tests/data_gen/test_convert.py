"""The conversion engine reads, skips, cuts, pads and writes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from data_gen.common import parallel
from data_gen.common.command_line import Report
from data_gen.common.convert import Row, Sample, drop_unusual, read_each, to_row, write_arrays, write_sequences


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


def test_inputs_of_another_kind_than_most_are_left_out() -> None:
    report, results = Report(), {"a": 3, "b": 2, "c": 3}
    drop_unusual(results, lambda number: f"{number} channels", report, unit="file")
    assert results == {"a": 3, "c": 3}
    assert report.skipped == ["b: 2 channels, where most files have 3 channels"]
