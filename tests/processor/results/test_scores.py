"""Scores survive their file, come from published files too, and say what is wrong with them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feeders.arrays import load_labels
from processor.results.fusion import fuse
from processor.results.scores import Scores, load_scores, save_scores

NAMES = ("b.skeleton", "ä.skeleton", "a")


def example() -> Scores:
    return Scores(NAMES, np.random.default_rng(0).normal(size=(3, 4)), np.array([3, 0, 1]))


def dump(path: Path, value: Any, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("labels", [np.array([3, 0, 1]), None])
def test_the_file_keeps_everything(tmp_path: Path, labels: np.ndarray | None) -> None:
    scores = Scores(NAMES, example().scores, labels)
    save_scores(tmp_path / "new" / "s.npz", scores)
    again = load_scores(tmp_path / "new" / "s.npz")
    assert again.names == NAMES
    np.testing.assert_array_equal(again.scores, scores.scores, strict=True)
    assert again.scores.dtype == np.float32
    if labels is None:
        assert again.labels is None
    else:
        np.testing.assert_array_equal(again.labels, labels, strict=True)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["s.npz"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.npz"
    save_scores(path, example())
    before = path.read_bytes()

    def fail(file: Any, **_: Any) -> None:
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        save_scores(path, example())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", [dict, list, lambda pairs: [list(pair) for pair in pairs]])
@pytest.mark.parametrize("vector", [np.asarray, np.ndarray.tolist])
def test_published_files(tmp_path: Path, form: Any, vector: Any) -> None:
    rows = example().scores
    path = dump(tmp_path / "s.pkl", form([(name, vector(row)) for name, row in zip(NAMES, rows, strict=True)]))
    again = load_scores(path)
    assert again.names == NAMES
    np.testing.assert_array_equal(again.scores, rows)
    assert again.labels is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ([("a", [1, 2]), ("a", [3, 4]), ("b", [1, 2])], r"the sample 'a' occurs 2 times \(3 names, 2 different\)"),
        ({"a": [1, 2], "b": [3, np.nan]}, "scores of 1 sample are not finite, the first is 'b'"),
        ({"a": [1, 2], "b": [np.inf, 3]}, "scores of 1 sample are not finite, the first is 'b'"),
        ({"a": [1, 2], "b": [3]}, "scores must be vectors of numbers, all of one length"),
        ({"a": ["x", "y"]}, "scores must be vectors of numbers, all of one length"),
        ({"a": 1.0}, r"scores have the shape \(1,\); \(1, classes\) is expected"),
        ({"a": []}, r"scores have the shape \(1, 0\)"),
        ({1: [1, 2]}, "sample names must be a list of text"),
        ({}, "there are no samples"),
        ("text", "scores by sample name are expected"),
        ([("a", [1], 2)], "scores by sample name are expected"),
    ],
)
def test_broken_published_files(tmp_path: Path, content: Any, complaint: str) -> None:
    path = dump(tmp_path / "s.pkl", content)
    with pytest.raises(ValueError, match=rf"s.pkl: {complaint}"):
        load_scores(path)


def test_files_that_are_no_scores(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    save_scores(path, example())
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], whole.replace(whole[60:80], b"\xff" * 20)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"s.npz is no readable .npz file \(.*make or copy it again"):
            load_scores(path)
    np.savez(path, data=np.zeros(3))
    with pytest.raises(ValueError, match=r"s.npz holds data; names and scores are expected"):
        load_scores(path)
    np.savez(path, names=np.array(["a", {}], dtype=object), scores=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"s.npz is no readable .npz file"):  # never unpickled
        load_scores(path)
    np.save(tmp_path / "s.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"s.npy is no readable .npz file"):
        load_scores(tmp_path / "s.npy")


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ([0, 1], "labels must be 3 whole numbers, one a sample name"),
        ([0, 1, 0.5], "labels must be 3 whole numbers"),
        ([0, 1, 4], "labels from 0 to 4 do not fit 4 classes"),
        ([0, 1, -1], "labels from -1 to 1 do not fit 4 classes"),
    ],
)
def test_labels_fit(labels: list[Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Scores(NAMES, np.zeros((3, 4)), np.array(labels))


def test_label_files(tmp_path: Path) -> None:
    names, labels = load_labels(dump(tmp_path / "l.pkl", (["b", "a"], [1, 0])))
    assert names == ("b", "a")
    np.testing.assert_array_equal(labels, np.array([1, 0], dtype=np.int64), strict=True)
    names, labels = load_labels(dump(tmp_path / "l.pkl", [("b", "a"), np.array([1, 0], dtype=np.int32)]))
    np.testing.assert_array_equal(labels, np.array([1, 0], dtype=np.int64), strict=True)
    with pytest.raises(ValueError, match=r"l.pkl: a pair of names and labels is expected"):
        load_labels(dump(tmp_path / "l.pkl", {"a": 1}))
    with pytest.raises(ValueError, match=r"l.pkl: labels must be 2 whole numbers"):
        load_labels(dump(tmp_path / "l.pkl", (["b", "a"], [1])))


def test_take() -> None:
    scores = example()
    taken = scores.take(["a", "b.skeleton"])
    assert taken.names == ("a", "b.skeleton")
    np.testing.assert_array_equal(taken.scores, scores.scores[[2, 0]])
    assert taken.labels is not None
    assert taken.labels.tolist() == [1, 3]


def test_top_k_equals_sorting() -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 4, size=(200, 6)).astype(np.float32)  # many ties
    names, labels = tuple(map(str, range(200))), rng.integers(0, 6, size=200)
    for k in range(1, 8):
        hits = 0
        for row, label in zip(scores, labels, strict=True):
            order = sorted(range(6), key=lambda c: (-row[c], c))
            hits += label in order[:k]
        assert Scores(names, scores, labels).top_k(k) == hits / 200
    assert Scores(names, scores, labels).top_k(1) == (scores.argmax(axis=1) == labels).mean()


def test_accuracy_wants_labels() -> None:
    with pytest.raises(ValueError, match="labels of these scores are not known"):
        Scores(("a", "b"), np.zeros((2, 3))).top_k(1)


def test_classes_are_matched_by_their_names(tmp_path: Path) -> None:
    first = Scores(("a", "b"), np.array([[1, 2, 3], [6, 5, 4]]), np.array([2, 0]), ("run", "sit", "walk"))
    second = Scores(("a", "b"), np.array([[30, 10, 20], [40, 60, 50]]), np.array([0, 1]), ("walk", "run", "sit"))
    unnamed = Scores(("b", "a"), np.array([[1, 1, 2], [0, 0, 0]]))
    save_scores(tmp_path / "second.npz", second)
    read = load_scores(tmp_path / "second.npz")
    assert read.class_names == ("walk", "run", "sit")
    fused = fuse([first, read, unnamed])
    assert fused.scores.tolist() == [[11, 22, 33], [67, 56, 46]]
    assert fused.class_names == ("run", "sit", "walk")
    assert np.asarray(fused.labels).tolist() == [2, 0]
    assert fuse([unnamed, read]).scores.tolist() == [[41, 61, 52], [30, 10, 20]]  # of unnamed ones the numbers count
    other = Scores(("a", "b"), np.zeros((2, 3)), None, ("run", "sit", "jump"))
    with pytest.raises(ValueError, match=r"^A and B have different classes \(jump, walk\); fuse scores of the same"):
        fuse([first, other], titles=["A", "B"])
    with pytest.raises(ValueError, match="2 class names for 3 classes"):
        Scores(("a",), np.zeros((1, 3)), None, ("run", "sit"))


def test_classes_of_the_same_name_are_not_matched_by_name() -> None:
    scores = Scores(("a",), np.array([[1.0, 2.0, 3.0]]), class_names=("x", "y", "y"))
    with pytest.raises(ValueError, match="two classes have the same name"):
        scores.in_classes(("y", "x", "y"))
    assert scores.in_classes(("x", "y", "y")) is scores


def test_confusion_counts_true_classes_in_rows() -> None:
    scores = Scores(("a", "b", "c"), np.array([[0, 1, 0], [0, 1, 0], [2, 1, 0]]), np.array([0, 0, 2]))
    assert scores.confusion().tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]
