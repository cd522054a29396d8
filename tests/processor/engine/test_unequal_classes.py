"""Classes with few samples: their weight in the loss, and how often they are drawn."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import Data, make, train, write_data
from torch.nn import functional as F

from feeders.feeder import Feeder
from processor.config.schema import ConfigError, load_config, resolved
from processor.engine import data as loading
from processor.engine import train as engine
from processor.engine.data import Batches, Loader
from processor.engine.loss import build_loss, check_loss, weights_of_classes
from processor.engine.optimizer import build_optimizer
from processor.state.checkpoint import State, read_checkpoint

CPU = torch.device("cpu")
LABELS = [0] * 8 + [1] * 2 + [3] * 1


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return write_data(tmp_path)


def test_weights_have_the_mean_one_over_the_samples() -> None:
    """Of 11 samples of three classes each class weighs 11 / 3 in all; one that does not occur has no weight."""
    balanced = weights_of_classes("balanced", LABELS)
    torch.testing.assert_close(balanced, torch.tensor([11 / 24, 11 / 6, 0.0, 11 / 3]))
    named = weights_of_classes({"run": 3.0, "sit": 0.5}, LABELS, ["jump", "run", "walk", "sit"])
    mean = (8 * 1 + 2 * 3 + 0.5) / 11
    torch.testing.assert_close(named, torch.tensor([1 / mean, 3 / mean, 1 / mean, 0.5 / mean]))
    assert sum(float(named[label]) for label in LABELS) == pytest.approx(11)
    by_number = weights_of_classes({"3": 2.0}, LABELS)
    torch.testing.assert_close(by_number, torch.tensor([11 / 12, 11 / 12, 11 / 12, 22 / 12]))
    with pytest.raises(ValueError, match=r"no class is named 'rnu' \(did you mean 'run'\?\); they are jump, run, sit"):
        weights_of_classes({"rnu": 3.0}, LABELS, ["jump", "run", "sit", "walk"])


def loss_by_hand(logits: torch.Tensor, labels: list[int], weights: list[float], smoothing: float) -> float:
    total = 0.0
    for row, label in zip(logits.tolist(), labels, strict=True):
        below = math.log(sum(math.exp(x) for x in row))
        of_sample = -sum(
            ((1 - smoothing) * (c == label) + smoothing / len(row)) * (x - below) for c, x in enumerate(row)
        )
        total += weights[label] * of_sample
    return total / len(labels)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_the_weighted_mean_over_the_samples(smoothing: float) -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(11, 4, dtype=torch.float64), torch.tensor(LABELS)
    weights = weights_of_classes("balanced", LABELS)
    loss = build_loss("cross_entropy", {}, label_smoothing=smoothing, device=CPU, class_weights=weights)
    expected = loss_by_hand(logits, LABELS, weights.tolist(), smoothing)
    assert float(loss(logits, labels)) == pytest.approx(expected, rel=1e-6)
    parts = [float(loss(logits[i:j], labels[i:j])) * (j - i) for i, j in ((0, 7), (7, 8), (8, 11))]
    assert sum(parts) / 11 == pytest.approx(expected, rel=1e-6)  # batches make the mean of the large one


class Samples(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """11 samples of four numbers."""

    sample_name = tuple(map(str, range(11)))
    label = LABELS
    x = torch.randn(11, 4, generator=torch.Generator().manual_seed(1))

    def __len__(self) -> int:
        return 11

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        return self.x[index], self.label[index], int(index)


@pytest.mark.parametrize("balanced", [False, True])
def test_accumulated_batches_make_the_weighted_step_of_one_large_batch(balanced: bool) -> None:
    weights = []
    for size, accumulation in ((6, 1), (3, 2), (2, 3)):
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 4)
        state = State(model, build_optimizer(model, "SGD", base_lr=0.0, weight_decay=0.0))
        of_classes = weights_of_classes({"0": 0.1, "3": 5.0}, LABELS)
        criterion = build_loss("cross_entropy", {}, label_smoothing=0.1, device=CPU, class_weights=of_classes)
        loader = Loader(Samples(), batch_size=size, workers=0, device=CPU, seed=0, balanced=balanced)
        losses = engine.Losses(CPU)
        for group in loader.steps(0, 0, accumulation):
            engine.step(state, model, group, losses, lr=0.5, device=CPU, precision="float32", criterion=criterion)
        assert state.step == 2
        weights.append(model.weight.detach())
    torch.testing.assert_close(weights[0], weights[1])
    torch.testing.assert_close(weights[0], weights[2])


def test_every_class_is_drawn_equally_often_and_its_samples_in_turn() -> None:
    order = Batches(11, 4, 7, LABELS)
    epochs = []
    for epoch in (0, 1, 0):
        order.epoch = epoch
        epochs.append([index for batch in order for index in batch])
    assert epochs[0] == epochs[2] != epochs[1]
    for drawn in epochs:
        assert Counter(LABELS[i] for i in drawn) == {0: 4, 1: 4, 3: 4}
        assert len({i for i in drawn if LABELS[i] == 0}) == 4
        times = Counter(i for i in drawn if LABELS[i] != 0)
        assert times == {8: 2, 9: 2, 10: 4}
        assert sorted(getattr(i, "again", 0) for i in drawn if i == 10) == [0, 1, 2, 3]
        assert {getattr(i, "again", 0) for i in drawn if LABELS[i] == 0} == {0}
    order.begin = 2
    assert [index for batch in order for index in batch] == epochs[2][8:]
    assert {i for e in range(30) for i in _epoch(e) if i < 8} == {*range(8)}  # none is left out for ever


def _epoch(number: int) -> list[int]:
    order = Batches(11, 4, 7, LABELS)
    order.epoch = number
    return order._order()


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_draws_of_one(monkeypatch: pytest.MonkeyPatch, world: int) -> None:
    monkeypatch.setattr(loading, "world", lambda: world)
    parts = []
    for rank in range(world):
        monkeypatch.setattr(loading, "rank", lambda rank=rank: rank)
        parts.append(list(Batches(11, 2, 7, LABELS)))
    assert len({len(part) for part in parts}) == 1
    assert Counter(LABELS[i] for part in parts for batch in part for i in batch) == {0: 4, 1: 4, 3: 4}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_is_drawn_again_is_augmented_anew(data: Data, workers: int) -> None:
    feeder = Feeder(**data["train"], random_move=True, window_size=8)
    feeder.label = np.array([0] * 24 + [1])
    loader = Loader(feeder, batch_size=26, workers=workers, device=CPU, seed=0, balanced=True)
    ((x, label, index),) = loader.epoch(0)
    loader.close()
    assert (label == 1).sum() == 13
    rare = x[index == 24]
    assert len({tuple(sample.flatten().tolist()) for sample in rare}) == 13
    assert any(torch.equal(sample, feeder[24][0]) for sample in rare)  # the first draw is what it always was


def test_a_balanced_run_goes_on_within_an_epoch_to_the_bit(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"sampler": "balanced", "class_weights": {"2": 3.0}, "num_epoch": 1}
    train(make(data, tmp_path, work_dir=tmp_path / "whole", **settings))

    class PowerCutError(Exception):
        pass

    run_step = engine.step

    def step_and_fail(state: State, *args: Any, **kwargs: Any) -> None:
        if state.step == 1:
            raise PowerCutError
        run_step(state, *args, **kwargs)

    stopped = make(data, tmp_path, resume="auto", checkpoint_minutes=1e-9, **settings)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "step", step_and_fail)
        with pytest.raises(PowerCutError):
            train(stopped)
    assert read_checkpoint(tmp_path / "run" / "last.pt")["samples"] == 12
    torch.manual_seed(12345)
    train(stopped)
    a, b = (read_checkpoint(tmp_path / name / "last.pt")["model"] for name in ("whole", "run"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_weighs_its_classes(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the names that the data tell; 25 samples of three classes: 9, 8 and 8."""
    (tmp_path / "classes.txt").write_text("jump\nrun\nsit\n")
    seen = []
    monkeypatch.setattr(engine, "train", lambda run: seen.append(run.criterion.keywords["weights"]))
    train(make(data, tmp_path, class_weights="balanced"))
    torch.testing.assert_close(seen[0], torch.tensor([25 / 27, 25 / 24, 25 / 24]))
    train(make(data, tmp_path, class_weights={"sit": 4.0}, work_dir=tmp_path / "b"))
    torch.testing.assert_close(seen[1], torch.tensor([25 / 49, 25 / 49, 100 / 49]))
    train(make(data, tmp_path, class_weights={"sit": 4.0}, sampler="balanced", work_dir=tmp_path / "c"))
    torch.testing.assert_close(seen[2], torch.tensor([0.5, 0.5, 2.0]))  # 9 draws of each
    with pytest.raises(ValueError, match="class_weights: no class is named 'dance'; they are jump, run, sit"):
        train(make(data, tmp_path, class_weights={"dance": 4.0}, work_dir=tmp_path / "d"))
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--class_weights", "blanced"], "'blanced' must be 'balanced' or a mapping to numbers or null (did you mean"),
        (["--class_weights.sit", "0"], "class_weights: sit: 0 must be above 0 and at most a million"),
        (["--class_weights", "balanced", "--sampler", "balanced"], "classes would be balanced twice, leave one out"),
        (
            ["--class_weights", "balanced", "--loss", "torch.nn.MultiMarginLoss"],
            "class_weights: they are for cross_entropy; torch.nn.MultiMarginLoss does not get them",
        ),
    ],
)
def test_contradictions_are_refused(data: Data, tmp_path: Path, words: list[str], complaint: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(resolved(make(data, tmp_path)), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(["--config", str(file), *words])
    assert complaint in str(caught.value)


def test_without_weights_it_is_torchs_loss() -> None:
    logits, labels = torch.randn(11, 4), torch.tensor(LABELS)
    loss = build_loss("cross_entropy", {}, label_smoothing=0.2, device=CPU)
    assert torch.equal(loss(logits, labels), F.cross_entropy(logits, labels, label_smoothing=0.2))


def test_a_users_loss_is_tried_before_training() -> None:
    feeder, cpu = [(torch.ones(3, 8, 5, 1), 1, 0)], CPU
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(120, 4))
    check_loss(torch.nn.CrossEntropyLoss(), "torch.nn.CrossEntropyLoss", model, feeder, cpu)
    wrong: list[tuple[Any, str]] = [
        (torch.nn.CrossEntropyLoss(reduction="none"), r"x gives a tensor \(1,\) for logits \(1, 4\) and labels \(1,\)"),
        (lambda logits, _: logits.detach().mean(), r"x gives a tensor \(\) without gradient for logits"),
        (lambda *_: 1.0, "x gives float for logits"),
    ]
    for criterion, problem in wrong:
        with pytest.raises(ValueError, match=problem):
            check_loss(criterion, "x", model, feeder, cpu)
    check_loss(lambda *_: 1.0, "x", model, [], cpu)  # there is nothing to try it with
