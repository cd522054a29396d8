"""Reports agree with counts made by hand, and the picture is drawn without pyplot."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from processor.report import draw_accuracy, draw_confusion, write_report
from processor.scores import Scores

#  true        0  0  0  1  1  3   (class 2 has no samples)
PREDICTED = (0, 0, 1, 1, 3, 2)
LABELS = np.array([0, 0, 0, 1, 1, 3])
NAMES = ("drink, water", "eat", "größe", "sit")


def example(labels: np.ndarray | None = LABELS) -> Scores:
    return Scores(tuple("abcdef"), np.eye(4)[list(PREDICTED)], labels)


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_the_files(tmp_path: Path) -> None:
    write_report(tmp_path / "new", example(), NAMES)
    assert rows(tmp_path / "new" / "per_class_accuracy.csv") == [
        ["class", "name", "samples", "correct", "accuracy"],
        ["0", "drink, water", "3", "2", "0.6667"],
        ["1", "eat", "2", "1", "0.5000"],
        ["2", "größe", "0", "0", ""],
        ["3", "sit", "1", "0", "0.0000"],
    ]
    assert rows(tmp_path / "new" / "confusion_matrix.csv") == [
        ["true \\ predicted", *NAMES],
        ["drink, water", "2", "1", "0", "0"],
        ["eat", "0", "1", "0", "1"],
        ["größe", "0", "0", "0", "0"],
        ["sit", "0", "0", "1", "0"],
    ]
    for name in ("confusion_matrix.png", "per_class_accuracy.png"):
        assert min(imread(tmp_path / "new" / name).shape[:2]) > 100
    assert len(list((tmp_path / "new").iterdir())) == 4


def test_classes_without_names_are_numbers(tmp_path: Path) -> None:
    write_report(tmp_path, example())
    assert [row[1] for row in rows(tmp_path / "per_class_accuracy.csv")[1:]] == ["0", "1", "2", "3"]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_picture_shows_shares_and_what_is_mixed_up() -> None:
    counts = np.array([[2, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]])
    figure = draw_confusion(counts, NAMES)
    *cells, facts, title = texts(figure)
    assert cells == ["67", "33", "50", "50", "100"]
    assert title == "Top-1 50.00 %"
    assert facts.splitlines() == [
        "6 samples of 4 classes; cells are per cent of the true class",
        "sit taken for größe: 100 %",
        "eat taken for sit: 50 %",
        "drink, water taken for eat: 33 %",
    ]
    shown = figure.axes[0].images[0].get_array()
    assert shown is not None
    np.testing.assert_allclose(shown[3], [0, 0, 1, 0])
    assert np.ma.getmaskarray(shown)[2].all()  # no samples, no shares


def test_bars_are_sorted_and_leave_out_classes_without_samples() -> None:
    figure = draw_accuracy(np.array([[1, 1, 0], [0, 4, 0], [0, 0, 0]]), ["half", "all", "none"])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all", "half"]
    assert [bar.get_width() for bar in axes.patches] == [1, 0.5]
    assert "mean 75.00 %" in axes.get_title(loc="left")


def test_rare_mistakes_and_many_classes() -> None:
    few = np.diag([1000, 10])
    few[0, 1] = 1
    assert texts(draw_confusion(few, "ab"))[:3] == ["100", "<1", "100"]
    many = draw_confusion(np.eye(60, dtype=int), [f"class {i}" for i in range(60)])
    assert len(texts(many)) == 2  # no numbers in the cells, and nothing mixed up
    assert [label.get_text() for label in many.axes[0].get_yticklabels()][-1] == "class 59"


def test_pyplot_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import of it fails
    write_report(tmp_path, example())


def test_what_cannot_be_reported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="report: the labels of these scores are not known"):
        write_report(tmp_path, example(None))
    with pytest.raises(ValueError, match="class_names: 3 names for 4 classes"):
        write_report(tmp_path, example(), NAMES[:3])
    assert list(tmp_path.iterdir()) == []
