"""The prepared set is read as it lies on disk, and presence equals a plain loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from feeders.arrays import JOINT, LABEL, beside, load_array, load_classes
from feeders.presence import present, spans


def test_presence_equals_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3, 6, 5, 2)).astype(np.float32) * (rng.random((4, 1, 6, 1, 2)) < 0.5)
    x[:, 1:, 2] = 0  # one channel is enough
    x[0, :, 3, 1:] = 0  # one joint is enough
    x[1, 0, 4, 0, 0], x[2, 0, 4, 0, 0], x[3, 0, 4, 0, 0] = np.nan, np.inf, 1e-30
    mask = present(x)
    for n, t, m in np.ndindex(4, 6, 2):
        assert mask[n, t, m] == any(value != 0 for value in x[n, :, t, :, m].flat)
        assert present(x[n])[t, m] == mask[n, t, m]


@pytest.mark.parametrize(
    ("frames", "span"), [("01101", (1, 5)), ("10000", (0, 1)), ("00001", (4, 5)), ("00000", (0, 0))]
)
def test_a_span_reaches_from_the_first_to_the_last_frame(frames: str, span: tuple[int, int]) -> None:
    begin, end = spans(np.array([[frame == "1" for frame in frames]] * 2))
    assert (begin.tolist(), end.tolist()) == ([span[0]] * 2, [span[1]] * 2)


def test_files_lie_beside_their_array(tmp_path: Path) -> None:
    assert beside(tmp_path / "val_data_bone.npy", LABEL) == tmp_path / "val_label.pkl"
    assert beside(tmp_path / "train_data.npy", JOINT) == tmp_path / "train_data_joint.npy"


def test_an_array_stays_on_disk_or_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 3, 4, 5, 1), np.float32))
    assert isinstance(load_array(tmp_path / "a.npy"), np.memmap)
    assert not isinstance(load_array(tmp_path / "a.npy", mmap=False), np.memmap)


@pytest.mark.parametrize(
    ("content", "classes"), [("run\njump\n", ("run", "jump")), ("a\u2028b\nc", ("a\u2028b", "c")), ("0\n1\n", None)]
)
def test_names_of_classes_are_lines(tmp_path: Path, content: str, classes: tuple[str, ...] | None) -> None:
    assert load_classes(tmp_path / "train_data.npy") is None
    (tmp_path / "classes.txt").write_bytes(content.encode())
    assert load_classes(tmp_path / "train_data.npy") == classes
    (tmp_path / "classes.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"classes\.txt is no text in UTF-8"):
        load_classes(tmp_path / "train_data.npy")


@pytest.mark.parametrize(
    ("shape", "dtype", "problem"),
    [
        ((2, 3, 8, 5, 1), "int16", r"holds an array \(2, 3, 8, 5, 1\) of int16, .* as x\.astype\(\"float32\"\)$"),
        ((2, 3, 8, 5), "float32", r"looks like \(N, C, T, V\), without persons; save it again as x\[\.\.\., None\]$"),
        ((2, 8, 5, 3), "float32", r"\(N, T, V, C\); save it again as x\.transpose\(0, 3, 1, 2\)\[\.\.\., None\]$"),
        (
            (8, 5, 3),
            "float32",
            r"holds an array \(8, 5, 3\) of float32, .*custom_gendata\.py makes arrays of recordings$",
        ),
        ((2,), "<U3", r"holds an array \(2,\) of <U3"),
    ],
)
def test_an_array_of_another_form_is_told_how_it_becomes_one(
    shape: tuple[int, ...], dtype: str, problem: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", np.ones(shape).astype(dtype))
    with pytest.raises(ValueError, match=problem):
        load_array(tmp_path / "x.npy")


def test_the_fields_archives_are_named_with_their_converter(tmp_path: Path) -> None:
    np.savez(tmp_path / "NTU60_CS.npz", x_train=np.ones(2), y_train=np.ones(2))
    problem = r"NTU60_CS\.npz holds the arrays x_train, y_train; data_gen/custom_gendata\.py --data_path makes arrays"
    with pytest.raises(ValueError, match=problem):
        load_array(tmp_path / "NTU60_CS.npz")
