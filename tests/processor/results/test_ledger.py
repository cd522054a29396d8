"""The ledger of a study: accuracies over seeds and folds, clean samples, and the pages that are made of it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from conftest import ROOT
from runs import write_data

from processor.results.ledger import Finished, copies, ledger, markdown, page, read_ledger, table, write_ledger
from processor.results.scores import Scores

ABOUT: dict[str, Any] = {
    "epoch": 40, "seconds": 600.0, "parameters": 1_000_000, "flops": 2_500_000_000, "copies": [],
    "data": {"train": "aa", "test": "bb"}, "precision": "bfloat16", "device": "cpu", "program": "ST-TR 1, commit c",
    "libraries": "PyTorch 2", "machine": "Linux",
}  # fmt: skip


def finished(stream: str, right: str, *, seed: int = 0, fold: int | None = None, **about: Any) -> Finished:
    """A run of samples of class 0, of which those marked x are right."""
    first = ord("a") + 10 * ((fold or 1) - 1)
    names = tuple(chr(first + i) for i in range(len(right)))
    scores = np.array([[2.0, 0.0] if mark == "x" else [0.0, 3.0] for mark in right])
    return Finished(("s-tr", stream), seed, fold, Scores(names, scores, np.zeros(len(right), int)), ABOUT | about)


def test_seeds_give_mean_and_deviation() -> None:
    runs = [finished("joint", "xxxx------", seed=0), finished("joint", "xxxxxx----", seed=1, seconds=1200.0)]
    (row,) = ledger("study.yaml", runs, {})
    assert [row[key] for key in ("name", "seeds", "samples", "top1", "sd")] == [
        "s-tr/joint",
        "0 1",
        "10",
        "50.00",
        "14.14",
    ]
    assert (row["low"], row["high"]) == ("23.66", "76.34")  # Wilson's of 5 in 10
    assert (row["minutes"], row["parameters"], row["flops"], row["epoch"]) == ("15.0", "1000000", "2500000000", "40")
    assert row["clean_top1"] == ""


def test_a_table_takes_members_of_which_other_samples_are_clean() -> None:
    runs = [finished("joint", "xx--", copies=["a"]), finished("bone", "xx--", copies=["a", "b"])]
    assert table(ledger("study.yaml", runs, {}))[0][3] == "clean: top-1 %"
    runs = [finished("joint", "xx--", copies=["a"]), finished("bone", "xx--", copies=None)]
    head, *rows = table(ledger("study.yaml", runs, {}))
    assert [row[head.index("3 clean: top-1 %")] for row in rows] == ["33.33", ""]


def test_what_any_member_of_a_fusion_has_learnt_is_not_clean() -> None:
    runs = [finished("joint", "xx--", copies=["a"]), finished("bone", "-xx-", copies=["b", "a"])]
    row = ledger("study.yaml", runs, dict.fromkeys([("s-tr", "joint"), ("s-tr", "bone")], 1.0))[-1]
    assert (row["clean_samples"], row["copies"]) == ("2", "2")


def test_folds_give_the_mean_of_folds() -> None:
    runs = [finished("", "xx", fold=1), finished("", "x---", fold=2)]
    (row,) = ledger("study.yaml", runs, {})
    assert [row[key] for key in ("name", "folds", "samples", "top1", "sd")] == ["s-tr", "1 2", "6", "62.50", ""]


def test_fusion_takes_the_fixed_weights() -> None:
    runs = [finished("joint", "xx--"), finished("bone", "-xx-")]
    equal, light = (ledger("study.yaml", runs, {("s-tr", "joint"): 1.0, ("s-tr", "bone"): w})[2] for w in (1.0, 0.5))
    assert (equal["top1"], light["top1"]) == ("25.00", "50.00")  # a wrong stream is surer than a right one
    assert (light["name"], light["weights"], light["parameters"]) == ("s-tr/joint + s-tr/bone", "1 0.5", "2000000")
    assert len(ledger("study.yaml", runs, {("s-tr", "joint"): 1.0, ("s-tr", "bone"): 0.0})) == 2


def test_both_test_sets_are_columns() -> None:
    rows = ledger("study.yaml", [finished("joint", "xxx-", copies=["a", "b"])], {})
    assert (rows[0]["copies"], rows[0]["top1"]) == ("2", "75.00")
    assert (rows[0]["clean_samples"], rows[0]["clean_top1"], rows[0]["clean_low"]) == ("2", "50.00", "9.45")
    head, cells = table(rows)
    assert dict(zip(head, cells, strict=True))["2 clean: top-1 %"] == "50.00"
    assert "4 test samples; 2 of them are also training samples." in markdown(rows)
    unknown = ledger("study.yaml", [finished("joint", "xxx-", copies=None)], {})
    assert unknown[0]["copies"] == unknown[0]["clean_top1"] == ""
    assert "copies were not counted" in markdown(unknown)


def test_files_are_made_of_the_rows(tmp_path: Path) -> None:
    rows = ledger("config/x/study.yaml", [finished("joint", "xxx-")], {})
    write_ledger(tmp_path / "x", rows)
    assert read_ledger(tmp_path / "x" / "results.csv") == rows
    assert (tmp_path / "x" / "results.md").read_text(encoding="utf-8") == markdown(rows)
    assert "75.00" in (tmp_path / "x" / "results.tex").read_text(encoding="utf-8")
    (tmp_path / "x" / "notes.md").write_text("View 3 was run once.\n", encoding="utf-8")
    write_ledger(tmp_path / "a", ledger("config/a/study.yaml", [finished("joint", "xx")], {}))
    text = page(tmp_path)
    assert [line for line in text.splitlines() if line.startswith(("#", "View"))] == [
        "# Results", "## config/a/study.yaml", "## config/x/study.yaml", "View 3 was run once."
    ]  # fmt: skip


def test_the_page_of_results_is_made_of_ledgers_alone() -> None:
    folder = ROOT / "docs" / "results"
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == page(folder)
    for path in folder.glob("*/results.csv"):
        rows = read_ledger(path)
        assert path.with_suffix(".md").read_text(encoding="utf-8") == markdown(rows)
        assert all(row["program"].startswith("ST-TR ") and "commit" in row["program"] for row in rows)
        assert "with changes" not in rows[0]["program"]


def test_no_other_page_claims_an_accuracy_on_these_data_sets() -> None:
    claim = re.compile(r"(NW-UCLA|SBU).*\b\d\d\.\d+\b|\b\d\d\.\d+\b.*(NW-UCLA|SBU)")
    assert claim.search("On SBU ZiT-ZoT had a mean of 92.96 % over folds")
    pages = {*(ROOT / "docs").glob("*.md"), ROOT / "README.md"} - {ROOT / "docs" / "results.md"}
    assert len(pages) > 10
    for path in pages:
        assert not claim.search(path.read_text(encoding="utf-8")), path


def test_copies_of_training_samples_are_found(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    paths = [data[part][key] for part in ("train", "val") for key in ("data_path", "label_path")]
    assert copies(*paths) == ()
    x, test = np.load(paths[0]), np.load(paths[2])
    test[[2, 7]] = x[[24, 3]]
    other = str(shutil.copy(paths[2], tmp_path / "other.npy"))
    np.save(other, test)
    assert copies(paths[0], paths[1], other, paths[3]) == ("val2", "val7")
    assert copies("", "", "", "") is None
