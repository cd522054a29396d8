"""Which parameters learn, how fast, and which decay: by patterns of their names."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import MODEL, Data, make, train, write_data
from torch import nn
from torch.nn import functional as F

from model.st_tr import Model
from processor.config.schema import ConfigError, load_config, resolved
from processor.engine import train as engine
from processor.engine.data import Group
from processor.engine.optimizer import build_optimizer, freeze, matched, set_lr
from processor.state.checkpoint import State, read_checkpoint

RELATIVE = {**MODEL, "relative": True, "adjacency": True}
CPU = torch.device("cpu")


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return write_data(tmp_path)


def test_a_pattern_is_the_name_of_a_part_or_of_what_it_is_in() -> None:
    names = ["gcn0.w", "blocks.1.bn.w", "blocks.1.conv.b", "blocks.10.bn.w", "blocks.10.w", "bn.w"]
    expected = {
        "gcn0": ["gcn0.w"],
        "blocks.1": ["blocks.1.bn.w", "blocks.1.conv.b"],
        "blocks.1*": names[1:5],
        "blocks.[0-1].bn": ["blocks.1.bn.w"],
        "*.bn": ["blocks.1.bn.w", "blocks.10.bn.w"],
        "*bn": ["blocks.1.bn.w", "blocks.10.bn.w", "bn.w"],
        "blocks.?.conv.b": ["blocks.1.conv.b"],
        "*": names,
    }
    assert {pattern: matched(names, pattern, "freeze") for pattern in expected} == expected
    for pattern, near in (("gnc0", " (did you mean 'gcn0'?)"), ("block", ""), ("gcn", ""), ("Blocks.1", ""), ("", "")):
        with pytest.raises(ValueError, match="freeze: no parameter that learns is named") as caught:
            matched(names, pattern, "freeze")
        assert near in str(caught.value)


def test_factors_and_spared_parameters_step_as_by_hand() -> None:
    """SGD with decay: w - lr·factor·(g + decay·w), each parameter by itself."""
    torch.manual_seed(0)
    model = Model(**RELATIVE)
    start = {name: x.detach().clone() for name, x in model.named_parameters()}
    optimizer = build_optimizer(
        model, "SGD", base_lr=1.0, weight_decay=0.2, decay_all=False,
        lr_factors={"backbone": 0.5, "backbone.8": 2.0, "*.bn": 3.0},
    )  # fmt: skip
    set_lr(optimizer, 0.1)
    for x in model.parameters():
        x.grad = torch.ones_like(x)
    optimizer.step()
    spared = 0
    for name, x in model.named_parameters():
        factor = (
            3.0 if ".bn." in name else 2.0 if name.startswith("backbone.8.") else 0.5 if "backbone" in name else 1.0
        )
        no_decay = name.endswith("bias") or "bn." in name or ".norm." in name or "key_rel" in name
        spared += no_decay
        torch.testing.assert_close(x, start[name] - 0.1 * factor * (1 + (0 if no_decay else 0.2) * start[name]))
    assert spared == 99
    masks = [name for name in start if name.endswith("mask")]
    assert len(masks) == 10  # a graph's are no norms
    set_lr(optimizer, 0.0)
    assert {group["lr"] for group in optimizer.param_groups} == {0.0}


def test_by_default_all_are_one_group_that_decays() -> None:
    model = Model(**RELATIVE)
    (group,) = build_optimizer(model, "AdamW", base_lr=0.1, weight_decay=0.3).param_groups
    assert group["weight_decay"] == 0.3
    assert list(map(id, group["params"])) == list(map(id, model.parameters()))


def test_an_optimiser_of_the_user_gets_the_groups(data: Data, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"optimizer": "torch.optim.RAdam", "optimizer_args": {"weight_decay": 0.25}}
    config = make(data, tmp_path, num_epoch=1, decay_all=False, lr_factors={"fcn": 10.0}, **settings)
    train(config)
    groups = read_checkpoint(tmp_path / "run" / "last.pt")["optimizer"]["param_groups"]
    assert {(group["lr_factor"], group["weight_decay"]) for group in groups} == {
        (1.0, 0.25), (1.0, 0.0), (10.0, 0.25), (10.0, 0.0)
    }  # fmt: skip
    assert {round(group["lr"] / group["lr_factor"], 9) for group in groups} == {0.005}


def batch(size: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(3)
    return torch.randn(size, 3, 8, 20, 1, generator=rng), torch.arange(size) % 3, torch.arange(size)


def test_what_is_frozen_computes_as_in_evaluation() -> None:
    """With the classifier alone to learn, its step is that of a logistic regression on the features of evaluation."""
    torch.manual_seed(0)
    model = Model(**{**MODEL, "dropout": 0.9})
    learning = {name.split(".")[0] for name, _ in model.named_parameters()}
    frozen = freeze(model, sorted(learning - {"fcn"}))
    features: list[torch.Tensor] = []
    model.fcn.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].detach()))
    x, label, index = batch()
    weight, bias = model.fcn.weight.detach().clone(), model.fcn.bias.detach().clone()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.eval()(x)
    state = State(model, build_optimizer(model, "SGD", base_lr=1.0, weight_decay=0.0))
    group = Group(iter([(x, label, index)]), [len(x)], 0, 1, len(x))
    engine.step(state, model, group, engine.Losses(CPU), lr=0.5, device=CPU, precision="float32", frozen=frozen)
    torch.testing.assert_close(features[1], features[0])
    wrong = ((features[0] @ weight.T + bias).softmax(dim=1) - F.one_hot(label, 3)) / len(x)
    torch.testing.assert_close(model.fcn.weight, weight - 0.5 * wrong.T @ features[0])
    after = model.state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["fcn.weight", "fcn.bias"]


@pytest.mark.parametrize("changes", [{}, {"tcn_attention": True, "attention": False}, {"agcn": True}])
def test_what_learns_has_the_gradients_that_it_has_without_frozen_parts(changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    free = Model(**{**RELATIVE, **changes}).eval()
    part = deepcopy(free)
    assert part.backbone[6] in freeze(
        part, ["tcn0", "backbone.6", "backbone.[78].*1.bn", "*.mask", "backbone.1.*.weight"]
    )
    x, label, _ = batch()
    for model in (free, part):
        F.cross_entropy(model(x), label).backward()
    expected = dict(free.named_parameters())
    learning = {name: p for name, p in part.named_parameters() if p.requires_grad}
    assert len(learning) < len(expected) - 20
    for name, p in part.named_parameters():
        if p.requires_grad:
            torch.testing.assert_close(p.grad, expected[name].grad)
        else:
            assert p.grad is None


def test_a_module_whose_parameters_are_all_frozen_is_frozen() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), nn.Linear(2, 2))
    assert freeze(model, ["0.*", "1.0"]) == [model[0], model[1], model[1][0]]
    assert freeze(nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)), ["*.bias"]) == []
    with pytest.raises(ValueError, match="freeze: all parameters of the model are frozen"):
        freeze(model, ["0", "1", "2"])


def test_a_run_with_a_factor_for_its_last_parameters_goes_on_only_with_it(data: Data, tmp_path: Path) -> None:
    """The order of the parameters in the optimiser is then that of a run without factors."""
    train(make(data, tmp_path, num_epoch=1, lr_factors={"fcn": 10.0}))
    for other in ({}, {"fcn": 10.0, "backbone.2": 2.0}):
        with pytest.raises(ValueError, match=r"last\.pt was trained with other parts frozen, or other groups"):
            train(make(data, tmp_path, num_epoch=2, resume="auto", lr_factors=other))
    train(make(data, tmp_path, num_epoch=2, resume="auto", lr_factors={"fcn": 10.0}))


def test_a_frozen_run_goes_on_to_the_bit_and_only_with_its_groups(data: Data, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "freeze": ["data_bn", "gcn0", "tcn0", "backbone.0"], "lr_factors": {"backbone": 0.1}, "decay_all": False,
    }  # fmt: skip
    train(make(data, tmp_path, work_dir=tmp_path / "whole", num_epoch=2, **settings))
    train(make(data, tmp_path, num_epoch=1, **settings))
    first = read_checkpoint(tmp_path / "run" / "last.pt")["model"]
    others: list[dict[str, Any]] = [{"freeze": ["gcn0"]}, {"decay_all": True}, {"lr_factors": {}}]
    others.append({"lr_factors": {"backbone.1": 0.1}})  # as many groups
    for other in ({**settings, **changes} for changes in others):
        with pytest.raises(
            ValueError, match=r"resume: .*last\.pt was trained with other parts frozen, or other groups"
        ):
            train(make(data, tmp_path, num_epoch=2, resume="auto", **other))
    assert (tmp_path / "run" / "last.pt").is_file()  # it is not taken for a damaged one
    train(make(data, tmp_path, num_epoch=2, resume="auto", **settings))
    whole, run = (read_checkpoint(tmp_path / name / "last.pt")["model"] for name in ("whole", "run"))
    assert all(torch.equal(whole[name], run[name]) for name in whole)
    moved = {name for name in first if not torch.equal(first[name], run[name])}
    assert not [name for name in moved if name.startswith(("data_bn.", "gcn0.", "tcn0.", "backbone.0."))]
    assert {"backbone.1.tcn1.bn.running_mean", "backbone.2.gcn1.bn.weight", "fcn.weight"} <= moved
    np.testing.assert_array_equal(run["gcn0.bn.running_mean"], torch.zeros(16))


def test_runs_without_groups_go_on_from_files_that_do_not_tell_them(data: Data, tmp_path: Path) -> None:
    train(make(data, tmp_path, num_epoch=1))
    path = tmp_path / "run" / "last.pt"
    content = read_checkpoint(path)
    del content["learning"]
    torch.save(content, path)
    with pytest.raises(ValueError, match="other parts frozen"):
        train(make(data, tmp_path, num_epoch=2, resume="auto", freeze=["gcn0"]))
    train(make(data, tmp_path, num_epoch=2, resume="auto"))


def test_patterns_in_a_configuration(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The command line nests keys with dots; a pattern keeps them."""
    file = tmp_path / "c.yaml"
    file.write_text(resolved(make(data, tmp_path, lr_factors={"backbone.0": 0.5})), encoding="utf-8")
    words = ["--config", str(file), "--lr_factors.backbone.0", "0.25", "--lr_factors.fcn", "2", "--freeze", "gcn0"]
    config = load_config(words)
    assert config.lr_factors == {"backbone.0": 0.25, "fcn": 2.0}
    assert "freeze: without `weights`, the frozen parts keep the random numbers" in caplog.text
    for value, complaint in (
        ("{fcn: 0}", "fcn: 0 must be above 0 and at most 1000; `freeze` names what is not to learn"),
        ("{fcn: fast}", "'fcn': 'fast'} must be a mapping to numbers"),
        ("2", "2 must be a mapping to numbers"),
    ):
        with pytest.raises(ConfigError, match="lr_factors") as caught:
            load_config([*words[:2], "--lr_factors", value])
        assert complaint in str(caught.value)
    with pytest.raises(
        ValueError, match=r"lr_factors: no parameter .* named 'bakbone'.* \(did you mean 'backbone'\?\)"
    ):
        train(make(data, tmp_path, lr_factors={"bakbone": 2.0}))
    assert not (tmp_path / "run").exists()
