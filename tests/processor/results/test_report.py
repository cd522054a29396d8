"""Reports agree with counts made by hand, and the picture is drawn without pyplot."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from matplotlib.figure import Figure
from matplotlib.image import imread

from data_gen.common import drawing
from data_gen.common.drawing import new_figure
from processor.results.report import _percent, draw_accuracy, draw_confusion, write_report
from processor.results.scores import Scores

pytestmark = pytest.mark.usefixtures("drawn")

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
    assert texts(draw_confusion(few, "ab"))[:3] == [">99", "<1", "100"]
    many = draw_confusion(np.eye(60, dtype=int), [f"class {i}" for i in range(60)])
    assert len(texts(many)) == 2  # no numbers in the cells, and nothing mixed up
    assert [label.get_text() for label in many.axes[0].get_yticklabels()][-1] == "class 59"


@pytest.mark.parametrize(
    ("share", "shown", "finer"),
    [
        (0.0, "0", "0.00"),
        (1e-6, "<1", "<0.01"),
        (0.005, "<1", "0.50"),
        (0.0051, "1", "0.51"),
        (0.994, "99", "99.40"),
        (0.997, ">99", "99.70"),
        (1 - 1e-6, ">99", ">99.99"),
        (1.0, "100", "100.00"),
        (np.nan, "-", "-"),
    ],
)
def test_only_none_is_0_and_only_all_are_100_per_cent(share: float, shown: str, finer: str) -> None:
    assert (_percent(share), _percent(share, 2)) == (shown, finer)


def test_a_bar_says_0_where_all_is_wrong_and_100_where_all_is_right() -> None:
    figure = draw_accuracy(np.array([[300, 1, 0], [0, 4, 0], [0, 7, 0]]), ["nearly", "all", "none"])
    assert texts(figure) == ["100", ">99", "0"]


def test_few_samples_and_classes(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_report(tmp_path, Scores(("a",), np.ones((1, 1)), np.array([0])))
        for counts in (np.zeros((2, 2), int), np.array([[0, 1], [0, 0]])):
            draw_accuracy(counts, "ab")
            *_, title = texts(draw_confusion(counts, "ab"))
    assert title == "Top-1 0.00 %"
    *_, facts, title = texts(draw_confusion(np.ones((1, 1), int), ["only"]))
    assert (facts, title) == ("1 sample of 1 class; cells are per cent of the true class", "Top-1 100.00 %")


STRANGE = (
    "$_$", "a^b$", r"\frac", r"$\frac{1}{2}$", "x" * 3000, "two\nlines", "a\ttab", "\u8df3 jump", "\U0001f600",
    "\u0645", "", "same", "same", "\x07\x1b[31m", "\ufffe", "=1+1", "@cmd", "a, b", 'say "stop"',
)  # fmt: skip


def test_names_are_drawn_and_written_as_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    n = len(STRANGE)
    scores = Scores(tuple(map(str, range(n))), np.roll(np.eye(n), 1, axis=1), np.arange(n))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of letters that the font lacks
        write_report(tmp_path, scores, STRANGE)
    assert all("no font here has the letters" in message for message in caplog.messages)
    assert len(caplog.records) <= 1  # none where fonts have all of them
    assert [row[1] for row in rows(tmp_path / "per_class_accuracy.csv")[1:]] == list(STRANGE)
    assert rows(tmp_path / "confusion_matrix.csv")[0][1:] == list(STRANGE)
    axes = draw_confusion(np.eye(n, dtype=int), STRANGE).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[:4] == list(STRANGE[:4])
    assert labels[4] == "x" * 59 + "…"
    assert labels[5:7] == ["two lines", "a tab"]
    assert labels[10] == "10"
    assert labels[13] == "13: ??[31m"
    assert labels[15:] == list(STRANGE[15:])
    broken = ["\ud800", *STRANGE[1:]]  # half a pair, which YAML and JSON can hold
    write_report(tmp_path, scores, broken)
    assert rows(tmp_path / "per_class_accuracy.csv")[1][1] == r"\ud800"


def test_a_picture_of_very_many_classes_stays_within_what_matplotlib_draws() -> None:
    assert new_figure(6, 40).dpi == 120
    width, height = new_figure(6, 1000).get_size_inches() * new_figure(6, 1000).dpi
    assert (round(width), round(height)) == (48, 8000)


DRAW = """
import sys
from pathlib import Path
import numpy as np
from data_gen.common.pictures import draw, write_picture
from graph.nw_ucla import SKELETON
from processor.results.report import write_report
from processor.results.scores import Scores
write_report(".", Scores(("a", "b"), np.eye(2), np.array([0, 1])), ["$_$", "eat"])
write_picture(Path("picture.png"), draw([("$_$", np.random.default_rng(0).random((3, 8, 20, 1)))], SKELETON))
assert "matplotlib.pyplot" not in sys.modules
"""
ASK = (
    "import os, data_gen.common.drawing as d; print(os.environ['MPLBACKEND'], d.matplotlib.rcParams['backend'], end='')"
)


def python(folder: Path, code: str, **variables: str) -> str:
    """What code prints, which must not complain of anything."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    "variables",
    [
        {"MPLBACKEND": "module://absent_package.backend_inline", "DISPLAY": ":99", "HOME": "/nowhere"},
        {"MPLBACKEND": "nonsense", "MPLCONFIGDIR": __file__},  # no folder
    ],
)
def test_the_environment_stays_out_of_pictures(tmp_path: Path, variables: dict[str, str]) -> None:
    # a style of the user's that would need LaTeX, cut pictures, and cannot be read as a whole
    (tmp_path / "matplotlibrc").write_text("text.usetex: true\nbackend: nonsense\nsavefig.bbox: tight\nno.such: 1\n")
    python(tmp_path, DRAW, **variables)
    assert {"picture.png", "per_class_accuracy.png", "confusion_matrix.png"} <= {x.name for x in tmp_path.iterdir()}
    np.testing.assert_allclose(imread(tmp_path / "picture.png").shape[:2], (210, 1020), atol=1)


def test_a_notebook_keeps_its_backend(tmp_path: Path) -> None:
    assert python(tmp_path, ASK, MPLBACKEND="svg") == "svg svg"


def test_pyplot_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import of it fails
    write_report(tmp_path, example())


def test_what_cannot_be_reported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the labels of these scores are not known"):
        write_report(tmp_path, example(None))
    with pytest.raises(ValueError, match="class_names: 3 names for 4 classes"):
        write_report(tmp_path, example(), NAMES[:3])
    assert list(tmp_path.iterdir()) == []


def test_letters_of_other_fonts_are_drawn_and_those_of_none_are_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("_further", "_nowhere", "_warned"):
        monkeypatch.setattr(drawing, name, type(getattr(drawing, name))())
    letter, unknown = "\u2a4d", "\U0003fff0"  # a sign of STIX, which comes with matplotlib; no letter at all
    shipped = [entry for entry in drawing.fontManager.ttflist if "mpl-data" in entry.fname]
    monkeypatch.setattr(drawing.fontManager, "ttflist", shipped)
    monkeypatch.setattr(drawing, "_fonts", lambda: ["cmr10", *drawing._further])  # Latin letters alone
    assert drawing.shown([f"a {letter}", "ж"]) == [f"a {letter}", "ж"]
    assert drawing._further
    assert "Last Resort" not in " ".join(drawing._further)
    assert not caplog.records
    assert drawing.shown(["a", "\U00013000 jump"]) == ["a", "1: ? jump"]
    assert drawing.shown(["a", "\U00013000"]) == ["a", "1: ?"]
    assert caplog.text.count("no font here has the letters \U00013000; numbers stand for such names") == 1
    assert drawing.shown([unknown]) == ["0: ?"]  # not printable, so that no font is missing
    assert len(caplog.records) == 1
