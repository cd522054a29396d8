"""A study trains each of its runs as if alone, does what is left, and sums up what they reach."""

from __future__ import annotations

import csv
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import Data, make, train, write_data

from main import main
from processor.config.schema import Config, Study, resolved
from processor.engine.jobs import jobs_of, of_fold
from processor.engine.study import mean_and_spread, run
from processor.results.scores import load_scores


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """Two folds, of which the second tests other samples."""
    for fold in (1, 2):
        (tmp_path / f"fold{fold}").mkdir()
        write_data(tmp_path / f"fold{fold}")
    path = tmp_path / "fold2" / "val.pkl"
    names, label = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps(([f"other{name}" for name in names], label), protocol=2))
    folder = tmp_path / "fold{fold}"
    return {p: {"data_path": f"{folder / p}.npy", "label_path": f"{folder / p}.pkl"} for p in ("train", "val")}


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_each_fold_is_the_run_that_it_is_alone(data: Data, tmp_path: Path) -> None:
    config = make(data, tmp_path, folds=[1, 2], num_epoch=2)
    run(Study.of(config))
    together = load_scores(config.work_dir / "test_score.npz")
    alone = jobs_of(Study.of(make(data, tmp_path, folds=[1, 2], num_epoch=2, work_dir=tmp_path / "alone")))[1]
    expected = train(alone.config)
    second = load_scores(config.work_dir / "fold2" / "test_score.npz")
    np.testing.assert_array_equal(second.scores, expected.scores)
    first = load_scores(config.work_dir / "fold1" / "test_score.npz")
    assert together.names == first.names + second.names
    accuracy = [100 * s.top_k(1) for s in (first, second)]
    assert rows(config.work_dir / "folds.csv") == [
        ["fold", "samples", "top1"],
        *([str(i), "10", f"{a:.4f}"] for i, a in enumerate(accuracy, 1)),
    ]
    assert (config.work_dir / "confusion_matrix.png").is_file()


def test_an_interrupted_validation_goes_on(
    data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    config = make(data, tmp_path, folds=[1, 2], num_epoch=2)
    train(jobs_of(Study.of(config))[0].config)
    file = tmp_path / "config.yaml"
    file.write_text(resolved(config), encoding="utf-8")
    before = torch.load(config.work_dir / "fold1" / "last.pt", weights_only=True)["model"]
    caplog.set_level("INFO")
    assert main(["--config", str(file), "--resume", "auto"]) == 0, capsys.readouterr().err
    after = torch.load(config.work_dir / "fold1" / "last.pt", weights_only=True)["model"]
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert "mean " in caplog.text
    assert (config.work_dir / "fold2" / "last.pt").is_file()
    assert main(["--config", str(file), "--phase", "test"]) == 0, capsys.readouterr().err


def test_every_mark_is_filled(tmp_path: Path) -> None:
    config = Config(folds=[3], weights=tmp_path / "w{fold}.pt", class_names=["{fold}a"], resume="r{fold}.pt")
    third = of_fold(config, 3)
    assert (third.weights, third.class_names, third.resume) == (tmp_path / "w3.pt", ["3a"], "r3.pt")
    (job,) = jobs_of(Study.of(config))
    assert (job.config.work_dir, job.config.folds) == (config.work_dir / "fold3", [])


def test_mistakes_are_told_before_anything_is_trained(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("processor.engine.study.train")
    config = make(data, tmp_path, folds=[1, 2, 3])
    with pytest.raises(ValueError, match=r"data: .*fold3.train\.npy.* not found"):
        run(Study.of(config))
    fixed = {**config.train_feeder_args, "data_path": str(tmp_path / "a.npy"), "label_path": str(tmp_path / "a.pkl")}
    with pytest.raises(ValueError, match=r"folds: train_feeder_args must hold \{fold\}"):
        run(Study.of(make(data, tmp_path, folds=[1], train_feeder_args=fixed)))
    shutil.copytree(tmp_path / "fold1", tmp_path / "fold3")
    with pytest.raises(ValueError, match=r"folds: 1 and 3 both test val0; each sample belongs to one fold"):
        run(Study.of(config))


def grid(data: Data, tmp_path: Path, **changes: Any) -> Study:
    """Two streams of the first fold, and their fusion."""
    args = {part: {key: path.replace("{fold}", "1") for key, path in data[part].items()} for part in data}
    config = make(args, tmp_path, num_epoch=1, **changes)
    feeders = {key: {**getattr(config, key), "stream": "bone"} for key in ("train_feeder_args", "test_feeder_args")}
    members = {("", "joint"): config, ("", "bone"): replace(config, **feeders)}
    return Study("", members, [], dict.fromkeys(members, 1.0))


def test_a_ledger_is_of_one_configuration_and_of_the_same_data(data: Data, tmp_path: Path) -> None:
    run(grid(data, tmp_path, part="1/2"))
    with pytest.raises(ValueError, match=r"run.joint was made with another configuration \(base_lr.* --only joint"):
        run(grid(data, tmp_path, part="2/2", base_lr=1e-4))
    assert not (tmp_path / "run" / "results.md").exists()
    with pytest.raises(ValueError, match=r"run.bone was made with another configuration"):
        run(grid(data, tmp_path))
    run(grid(data, tmp_path, part="2/2", overwrite=True))
    assert (tmp_path / "run" / "results.md").is_file()
    x = np.load(tmp_path / "fold1" / "train.npy")
    np.save(tmp_path / "fold1" / "train.npy", 2 * x)
    with pytest.raises(ValueError, match=r"run.joint was made .*\(the train data had the fingerprint \w{16}, and have"):
        run(grid(data, tmp_path))
    np.save(tmp_path / "fold1" / "train.npy", x)
    (tmp_path / "run" / "joint" / "result.json").write_text("{")
    with pytest.raises(ValueError, match=r"result\.json is damaged; remove it and give the command again"):
        run(grid(data, tmp_path))
    (tmp_path / "run" / "joint" / "result.json").unlink()
    run(grid(data, tmp_path))


def test_each_member_is_tried_before_the_first_one_trains(data: Data, tmp_path: Path) -> None:
    study = grid(data, tmp_path)
    config = study.members["", "bone"]
    both = {key: {**getattr(config, key), "stream": "joint+bone"} for key in ("train_feeder_args", "test_feeder_args")}
    wide = replace(study, members={**study.members, ("", "bone"): replace(config, **both)})
    with pytest.raises(ValueError, match=r"^bone: .*channels 6 in the data, channel 3 in model_args"):
        run(wide)
    gone = replace(study, members={**study.members, ("", "bone"): replace(config, weights=tmp_path / "no.pt")})
    with pytest.raises(ValueError, match=r"^bone: weights: .*no\.pt does not exist"):
        run(gone)
    assert not list(tmp_path.glob("run/*/last.pt"))


def test_mean_and_spread() -> None:
    assert mean_and_spread([90.0, 94.0, 98.0]) == "94.00 %, standard deviation 4.00"
    assert mean_and_spread([90.0]) == "90.00 %"
