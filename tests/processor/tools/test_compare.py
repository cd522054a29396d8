"""Two runs are compared as counts made by hand say, in tables that hold any text."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from torch.utils.tensorboard import SummaryWriter

from graph.common.yaml_text import dump
from model.options import StTrOptions
from processor.results.scores import Scores, save_scores
from processor.results.tables import latex_table, markdown_table
from processor.tools.compare import main, read_runs

pytestmark = pytest.mark.usefixtures("drawn")

LABELS = (0, 0, 1, 1, 2, 2, 2)
FIRST = (0, 0, 1, 0, 2, 0, 1)  # four are right
SECOND = (0, 1, 1, 1, 2, 2, 0)  # five; the second alone has two, the first one


def run(folder: Path, guesses: tuple[int, ...], config: str = "", *, order: tuple[int, ...] = tuple(range(7))) -> Path:
    names = tuple(f"sample {i}" for i in order)
    save_scores(folder / "test_score.npz", Scores(names, np.eye(3)[np.array(guesses)[list(order)]], _labels(order)))
    if config:
        (folder / "config.yaml").write_text(config)
    return folder


def _labels(order: tuple[int, ...]) -> np.ndarray:
    return np.array(LABELS)[list(order)]


def lines(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_two_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = run(tmp_path / "a_1", FIRST, "base_lr: 0.1\nwork_dir: a\nmodel_args: {Nh: 8, graph_args: {}}\nstep: [60, 90]\n")
    order = (6, 5, 4, 3, 2, 1, 0)
    b = run(
        tmp_path / "b|2", SECOND, "base_lr: 0.2\nwork_dir: b\nmodel_args: {Nh: 8, dk: 1}\nstep: [60]\n", order=order
    )
    writer = SummaryWriter(str(a))
    for step in (1, 2):
        writer.add_scalar("test/loss", 1 / step, step)
    writer.close()
    assert main([str(a), str(b), "--out", str(tmp_path / "out")]) == 0
    rows = lines(capsys.readouterr().out.replace(r"b\|2", "B"))
    assert ["a_1", "57.14", "25.05 to 84.18"] in rows
    assert ["B", "71.43", "35.89 to 91.78"] in rows
    assert ["a_1, B", "1", "2", "1"] in rows
    keys = {row[0]: row[1:] for row in rows[rows.index(["key", "a_1", "B"]) + 2 :]}
    assert keys == {
        "base_lr": ["0.1", "0.2"],
        "model_args.dk": ["-", "1"],
        "step": ["[60, 90]", "[60]"],
    }
    out = tmp_path / "out"
    assert (out / "differing_samples.csv").read_text().splitlines() == [
        "sample,label,a_1,b|2",
        "sample 1,0,0,1",
        "sample 3,1,0,1",
        "sample 5,2,0,2",
        "sample 6,2,1,0",
    ]
    tex = (out / "comparison.tex").read_text()
    assert r"a\_1 & 57.14 & 25.05 to 84.18 \\" in tex
    assert r"run & top-1 \% & 95 \% interval \\" in tex
    assert min(imread(out / "curves.png").shape[:2]) > 300
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison.md", "comparison.tex", "curves.png", "differing_samples.csv"
    ]  # fmt: skip


def test_several_runs_are_corrected_and_named_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [
        run(tmp_path / name / "s-tr", guesses) for name, guesses in zip("abc", (FIRST, SECOND, LABELS), strict=True)
    ]
    assert [each.title for each in read_runs(paths)] == ["a/s-tr", "b/s-tr", "c/s-tr"]
    assert main(list(map(str, paths))) == 0
    out = capsys.readouterr().out
    assert ["a/s-tr, c/s-tr", "0", "3", "0.25", "0.75"] in lines(out)
    assert ["b/s-tr, c/s-tr", "0", "2", "0.5", "1"] in lines(out)
    assert "No configuration is known of a/s-tr, b/s-tr, c/s-tr." in out
    assert "configurations are the same" not in out


def test_a_run_without_configuration_is_compared_with_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [run(tmp_path / name, FIRST, f"base_lr: {lr}\nseed: 1\n") for name, lr in (("a", 0.1), ("b", 0.2))]
    assert main([*map(str, paths), str(run(tmp_path / "fused", SECOND))]) == 0
    out = capsys.readouterr().out
    assert "No configuration is known of fused." in out
    rows = lines(out)
    assert rows[rows.index(["key", "a", "b"]) + 2 :] == [["base_lr", "0.1", "0.2"]]
    assert main([str(paths[0]), str(tmp_path / "fused")]) == 0
    out = capsys.readouterr().out
    assert "| key |" not in out
    assert "configurations are the same" not in out


def test_what_has_its_default_is_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that began with weights has all options written out."""
    few = "model: model.st_tr.Model\nmodel_args: {num_class: 3, Nh: 4}\nlr_factors: {}\nbase_lr: 0.1\n"
    given = {**asdict(StTrOptions(num_class=3, Nh=4)), "dropout": 0.25}
    every = dump({"model": "model.st_tr.Model", "model_args": given, "base_lr": 0.1, "lr_factors": {"fcn": 3.0}})
    a, b = run(tmp_path / "a", FIRST, few), run(tmp_path / "b", SECOND, every)
    assert main([str(a), str(b)]) == 0
    rows = lines(capsys.readouterr().out)
    told = rows[rows.index(["key", "a", "b"]) + 2 :]
    assert sorted(row[0] for row in told) == ["lr_factors.fcn", "model_args.dropout"]


def test_top_5_is_of_more_than_five_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        logits = np.random.default_rng(seed).normal(size=(7, 6))
        save_scores(tmp_path / name / "test_score.npz", Scores(tuple("1234567"), logits, np.array(LABELS)))
    assert main([str(tmp_path / name) for name in "ab"]) == 0
    assert ["run", "top-1 %", "95 % interval", "top-5 %"] in lines(capsys.readouterr().out)


def test_files_of_scores_are_runs_without_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [run(tmp_path / name, FIRST) / "test_score.npz" for name in "ab"]
    assert main([*map(str, paths), "--out", str(tmp_path / "out")]) == 0
    assert "0 are taken for different classes" in capsys.readouterr().out
    assert not (tmp_path / "out" / "curves.png").exists()


def test_what_cannot_be_compared_is_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = run(tmp_path / "a", FIRST), run(tmp_path / "b", SECOND[:6], order=tuple(range(6)))
    empty, unknown = tmp_path / "empty", tmp_path / "unknown"
    empty.mkdir()
    for folder in (unknown, tmp_path / "unknown too"):
        save_scores(folder / "test_score.npz", Scores(("x",), np.eye(3)[:1]))
    for words, problem in (
        ([a], "name two runs at least"),
        ([a, a], "a run is named twice"),
        ([a, b], "b lacks 1 of the 7 samples in a: sample 6"),
        ([a, empty], "holds no test_score.npz; name the folder of a run"),
        ([a, tmp_path / "nothing"], "nothing"),
        ([unknown, tmp_path / "unknown too"], "know no labels"),
        ([a, run(tmp_path / "c", SECOND), "--out", a / "test_score.npz"], "test_score.npz is no folder; name another"),
    ):
        assert main(list(map(str, words))) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert problem in error
        assert error.count("\n") == 1


def test_tables_hold_any_text() -> None:
    rows = [["a|b", "c\\d"], ["two\nlines", "50 % of $x_1$ {&} #~^"]]
    cells = r"| a\|b | c\\d |", "|---|---|", r"| two lines | 50 % of \$x_1\$ {\&} #\~^ |"
    assert markdown_table(rows) == "\n".join(cells)
    marks = ["work_dir", "__best__", "<b>a</b>", "*x* `q`", "[60, 90]", "[a](b)"]
    head, _ = markdown_table([marks]).split("\n")
    assert head == r"| work_dir | \_\_best\_\_ | \<b>a\</b> | \*x\* \`q\` | [60, 90] | [a]\(b) |"
    assert r"a|b & c\textbackslash{}d \\" in latex_table(rows)
    assert r"two lines & 50 \% of \$x\_1\$ \{\&\} \#\textasciitilde{}\textasciicircum{} \\" in latex_table(rows)
