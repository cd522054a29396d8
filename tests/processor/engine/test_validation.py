"""A validation split: evaluations on the way are on it, it chooses best.pt, may stop the run; the test comes once."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import Data, make, run_test, train, write_data

from processor.config.schema import Config, ConfigError, Study, load_config, resolved
from processor.engine import setup, study
from processor.engine import train as engine
from processor.results.history import read_curves
from processor.results.provenance import Made
from processor.results.scores import Scores
from processor.state.checkpoint import read_checkpoint


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """With a part `middle`, six of the training samples by other names."""
    args = write_data(tmp_path)
    names, label = pickle.loads((tmp_path / "train.pkl").read_bytes())
    np.save(tmp_path / "middle.npy", np.load(tmp_path / "train.npy")[:6])
    (tmp_path / "middle.pkl").write_bytes(pickle.dumps(([f"middle of {name}" for name in names[:6]], label[:6])))
    return {
        **args, "middle": {"data_path": str(tmp_path / "middle.npy"), "label_path": str(tmp_path / "middle.pkl")}
    }  # fmt: skip


def validated(data: Data, tmp_path: Path, **changes: Any) -> Config:
    return make(data, tmp_path, validation_feeder_args=data["middle"], **changes)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first sample of each evaluation, in order."""
    names: list[str] = []
    evaluate = setup.evaluate

    def spy(model: Any, loader: Any, *args: Any, **settings: Any) -> Scores:
        names.append(loader.feeder.sample_name[0])
        return evaluate(model, loader, *args, **settings)

    monkeypatch.setattr(setup, "evaluate", spy)
    return names


def scripted(monkeypatch: pytest.MonkeyPatch, accuracies: Sequence[float], interval: int = 1) -> None:
    """Evaluations find these shares of ten samples right, by epoch; the test of the end finds none."""

    def evaluate(run: Any, *_: Any, **__: Any) -> Scores:
        right = round(10 * accuracies[run.state.epoch // interval - 1])
        return Scores(tuple("abcdefghij"), np.eye(3)[[0] * right + [1] * (10 - right)], np.zeros(10, np.int64))

    monkeypatch.setattr(engine, "_evaluate", evaluate)


def test_samples_that_train_and_are_tested_are_told(
    data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(make(data, tmp_path, num_epoch=1, test_feeder_args=data["train"]))
    assert "train and test data share 25 samples, such as train0" in caplog.text


def test_the_test_data_are_seen_once_after_the_last_epoch(
    data: Data, tmp_path: Path, seen: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    scores = train(validated(data, tmp_path, num_epoch=3))
    assert seen == ["middle of train0"] * 3 + ["val0"]
    assert scores.names == tuple(f"val{i}" for i in range(10))
    assert "25 training, 6 validation and 10 test samples" in caplog.text
    curves = read_curves(tmp_path / "run")
    assert {name: [step for step, _ in points] for name, points in curves.items() if "train" not in name} == {
        **{f"validation/{key}": [2, 4, 6] for key in ("loss", "top1", "top2")},
        **{f"test/{key}": [6] for key in ("loss", "top1", "top2")},
    }
    best = max(value for _, value in curves["validation/top1"])
    assert read_checkpoint(tmp_path / "run" / "last.pt")["best"] == pytest.approx(best)
    train(validated(data, tmp_path, num_epoch=3, resume="auto"))
    assert seen[4:] == ["val0"]
    assert read_curves(tmp_path / "run") == curves
    again = run_test(replace(validated(data, tmp_path), phase="test"))
    np.testing.assert_allclose(again.scores, scores.scores, atol=1e-5)
    assert seen[5:] == ["val0"]


def test_without_a_validation_each_epoch_is_tested(data: Data, tmp_path: Path, seen: list[str]) -> None:
    train(make(data, tmp_path, num_epoch=2))
    assert seen == ["val0"] * 2
    assert {"test/top1", "test/loss"} < read_curves(tmp_path / "run").keys()


def stop_by_hand(accuracies: Sequence[float], patience: int, interval: int) -> tuple[int, int]:
    """The epoch after which a run stops, and that of the best evaluation."""
    best, best_epoch = -1.0, 0
    for number, accuracy in enumerate(accuracies, 1):
        epoch = number * interval
        if accuracy > best:
            best, best_epoch = accuracy, epoch
        elif epoch - best_epoch >= patience:
            return epoch, best_epoch
    return len(accuracies) * interval, best_epoch


@pytest.mark.parametrize(
    ("split", "accuracies", "patience", "interval", "expected"),
    [
        ("validation", [0.2, 0.6, 0.5, 0.6, 0.9], 2, 1, (4, 2)),  # as good is no better
        pytest.param("validation", [0.2, 0.6, 0.5, 0.7, 0.6], 2, 1, (5, 4), marks=pytest.mark.slow),
        ("test", [0.0, 0.0, 0.9, 0.9], 1, 1, (2, 1)),
        pytest.param("validation", [0.5, 0.4, 0.4], 3, 2, (6, 2), marks=pytest.mark.slow),
        (None, [0.5, 0.4, 0.4, 0.3], 1, 1, (4, 1)),  # nothing stops a run that was not to be stopped
    ],
)
def test_a_run_stops_when_nothing_better_comes(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    split: Any, accuracies: list[float], patience: int, interval: int, expected: tuple[int, int],
) -> None:  # fmt: skip
    caplog.set_level("INFO")
    if split:
        assert stop_by_hand(accuracies, patience, interval) == expected
    scripted(monkeypatch, accuracies, interval)
    settings: dict[str, Any] = {"early_stopping": split, "patience": patience, "eval_interval": interval}
    kind = make if split == "test" else validated
    config = kind(data, tmp_path, num_epoch=len(accuracies) * interval, **settings)
    scores = train(config)
    folder = config.work_dir
    state = read_checkpoint(folder / "last.pt")
    assert (state["epoch"], state["best_epoch"]) == expected
    assert read_checkpoint(folder / "best.pt")["epoch"] == expected[1]
    assert ("stopped early" in caplog.text) == (expected[0] < config.num_epoch)
    part = "test" if split == "test" else "validation"
    assert f"epoch {expected[0]}, the last (best.pt: epoch {expected[1]}, {part} top-1" in caplog.text
    with monkeypatch.context() as patch:  # the run is complete
        patch.delattr(engine, "step")
        again = train(replace(config, resume="auto"))
    assert again.names == tuple(f"val{i}" for i in range(10))
    if split != "test":  # else the script's scores are those of the last epoch, too
        np.testing.assert_array_equal(again.scores, scores.scores)
    tested = run_test(replace(config, phase="test"))  # of last.pt
    np.testing.assert_allclose(tested.scores, again.scores, atol=1e-5)


def test_a_run_that_was_interrupted_stops_early_at_the_same_epoch(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.5, 0.4, 0.3, 0.9])
    settings: dict[str, Any] = {"early_stopping": "validation", "patience": 2}
    train(validated(data, tmp_path, work_dir=tmp_path / "whole", **settings))

    class PowerCutError(Exception):
        pass

    with monkeypatch.context() as patch:
        patch.setattr(engine.distributed, "average_statistics", _raise_at(PowerCutError, 8))
        with pytest.raises(PowerCutError):
            train(validated(data, tmp_path, resume="auto", **settings))
    train(validated(data, tmp_path, resume="auto", **settings))
    a, b = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "run"))
    assert a["epoch"] == b["epoch"] == 3
    assert all(torch.equal(a["model"][name], b["model"][name]) for name in a["model"])


def _raise_at(error: type[Exception], number: int) -> Any:
    """Raises at the end of epoch 3: statistics are averaged then, and for each checkpoint, of which the first had 3."""
    calls = iter(range(1, 100))

    def average(model: Any) -> None:
        if next(calls) == number:
            raise error

    return average


def test_mistakes_are_named(data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(resolved(make(data, tmp_path)), encoding="utf-8")
    there = [word for key, path in data["middle"].items() for word in (f"--validation_feeder_args.{key}", path)]
    for words, complaint in (
        (["--early_stopping", "validation"], "early_stopping: validation: name the data in validation_feeder_args"),
        (["--early_stopping", "loss"], "'loss' must be 'validation' or 'test' or null"),
        (["--validation_feeder_args.data_pth", "x.npy"], "validation_feeder_args.data_pth: feeders.feeder.Feeder"),
        (
            ["--early_stopping", "test", *there],
            "early_stopping: test: with validation_feeder_args the test data are seen once, after training",
        ),
    ):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            load_config(["--config", str(file), *words])
        assert complaint in str(caught.value)
    missing = {**data["middle"], "data_path": "nowhere.npy"}
    with pytest.raises(ValueError, match=r"data: nowhere\.npy not found"):
        train(make(data, tmp_path, validation_feeder_args=missing))
    bones = {**data["middle"], "stream": "bone"}
    with pytest.raises(ValueError, match="learns from joint, validation_feeder_args give bone; make them agree"):
        train(make(data, tmp_path, validation_feeder_args=bones))
    assert not (tmp_path / "run").exists()
    train(make(data, tmp_path, validation_feeder_args=data["val"], num_epoch=1))
    assert "validation and test data share 10 samples, such as val0" in caplog.text
    with pytest.raises(ValueError, match="was trained with evaluated_on validation, this run has test"):
        train(make(data, tmp_path, num_epoch=2, resume="auto"))


def test_classes_of_a_validation_are_matched_by_name(data: Data, tmp_path: Path) -> None:
    names, label = pickle.loads((tmp_path / "middle.pkl").read_bytes())
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (tmp_path / "classes.txt").write_text("jump\nrun\nsit\n")
    (folder / "classes.txt").write_text("sit\njump\nrun\n")
    (folder / "x.pkl").write_bytes(pickle.dumps((names, [(i + 1) % 3 for i in label])))
    (folder / "x.npy").write_bytes((tmp_path / "middle.npy").read_bytes())
    other = {"data_path": str(folder / "x.npy"), "label_path": str(folder / "x.pkl")}
    for number, args in enumerate((data["middle"], other)):
        train(make(data, tmp_path, num_epoch=1, validation_feeder_args=args, work_dir=tmp_path / f"{number}"))
    a, b = (read_curves(tmp_path / name) for name in "01")
    assert a["validation/loss"] == b["validation/loss"]
    (folder / "classes.txt").write_text("sit\ndance\nrun\n")
    with pytest.raises(ValueError, match="validation data: the model does not know 'dance'"):
        train(make(data, tmp_path, validation_feeder_args=other, work_dir=tmp_path / "2"))


def test_folds_fill_the_validation(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for fold in (1, 2):
        (tmp_path / f"fold{fold}").mkdir()
        for path in [*tmp_path.glob("*.npy"), *tmp_path.glob("*.pkl")]:
            (tmp_path / f"fold{fold}" / path.name).write_bytes(path.read_bytes())
    val = tmp_path / "fold2" / "val.pkl"
    names, label = pickle.loads(val.read_bytes())
    val.write_bytes(pickle.dumps(([f"other {name}" for name in names], label)))
    marked = {part: {k: v.replace(str(tmp_path), f"{tmp_path}/fold{{fold}}") for k, v in args.items()}
              for part, args in data.items()}  # fmt: skip
    config = make(marked, tmp_path, folds=[1, 2], num_epoch=1, validation_feeder_args=marked["middle"])
    fixed = replace(config, validation_feeder_args=data["middle"])
    with pytest.raises(ValueError, match=r"folds: validation_feeder_args must hold \{fold\}"):
        study.run(Study.of(fixed))
    opened: list[str] = []
    monkeypatch.setattr(study, "train", lambda run, **_: opened.append(run.config.validation_feeder_args["data_path"]))
    study.run(Study.of(config))
    assert opened == [str(tmp_path / f"fold{fold}" / "middle.npy") for fold in (1, 2)]
    (tmp_path / "fold2" / "middle.npy").unlink()
    with pytest.raises(ValueError, match=r"fold2.middle\.npy not found"):
        study.run(Study.of(replace(config, work_dir=tmp_path / "b")))


def test_the_report_tells_of_the_validation(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[Made] = []
    monkeypatch.setattr("processor.results.page.page", lambda folder, scores, names, made: pages.append(made) or "")
    train(validated(data, tmp_path, num_epoch=1))
    (made,) = pages
    assert list(made.data) == ["train", "validation", "test"]
    assert made.weights.startswith("epoch 1, the last (best.pt: epoch 1, validation top-1 ")
