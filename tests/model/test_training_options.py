"""Options of training recipes: dropped keys, and how weights start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from model import st_tr, zit_zot
from model.layers.attention import Attention
from processor.state.weights import read_weights

ST_TR: dict[str, Any] = {"num_class": 5, "channels": [16, 16, 32], "Nh": 2, "window_size": 8, "num_point": 20}
T_TR = {**ST_TR, "attention": False, "tcn_attention": True}
ZIT_ZOT: dict[str, Any] = {"num_class": 5, "num_point": 15, "num_head": 1, "max_T": 8}
FAMILIES = [(st_tr.Model, ST_TR), (st_tr.Model, T_TR), (zit_zot.Model, ZIT_ZOT)]
IDS = ["s-tr", "t-tr", "zit-zot"]


@pytest.mark.parametrize(("family", "args"), FAMILIES, ids=IDS)
def test_without_the_options_nothing_changes_and_nothing_is_drawn(family: type[Any], args: dict[str, Any]) -> None:
    """Weights are the same numbers, and training draws as many."""
    results = []
    for options in ({}, {"drop_key": 0.5}):
        torch.manual_seed(1)
        model = family(**args, **options).train()
        x = torch.randn(2, 3, 8, args["num_point"], 2)
        results.append((model(x), torch.get_rng_state(), model.state_dict()))
    (a, state, weights), (b, other_state, other) = results
    assert torch.equal(a, b)
    assert torch.equal(state, other_state)
    assert all(torch.equal(weights[name], other[name]) for name in weights)


@pytest.mark.parametrize(("family", "args"), FAMILIES, ids=IDS)
def test_regularisation_acts_in_training_only(family: type[Any], args: dict[str, Any]) -> None:
    torch.manual_seed(0)
    plain = family(**args).eval()
    model = family(**args, dropout=0.5, drop_key=0.2).eval()
    model.load_state_dict(plain.state_dict())  # neither has weights
    x = torch.randn(2, 3, 8, args["num_point"], 2)
    assert torch.equal(model(x), plain(x))
    model.train()
    assert not torch.equal(model(x), model(x))


def test_keys_are_dropped_with_the_probability_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from model.layers import attention as module

    drawn: list[torch.Tensor] = []
    original = module.attend
    monkeypatch.setattr(module, "attend", lambda *args: (drawn.append(args[-1]), original(*args))[1])
    attention = Attention(4, 6, heads=2, key_width=2, value_width=3, scale=1.0, drop_key=0.1).train()
    attention(torch.randn(20, 10, 9, 4))
    assert 0.87 < drawn[0].float().mean() < 0.93
    for family, args in FAMILIES:
        switch = "drop_connectivity" if family is zit_zot.Model else "drop_connect"
        for on, expected in ((True, 0.1), (False, 0.0)):
            model = family(**args, **{switch: on, "drop_key": 0.1})
            assert expected in {m.drop_key for m in model.modules() if isinstance(m, Attention)}


@pytest.mark.parametrize(("family", "args"), FAMILIES, ids=IDS)
@pytest.mark.parametrize("std", [0.0, 0.02])
def test_starts_have_the_deviation_that_is_asked_for(family: type[Any], args: dict[str, Any], std: float) -> None:
    model = family(**{**args, "num_class": 60}, relative=True, relative_std=std, classifier_std=std)
    tables = [x for name, x in model.named_parameters() if name.endswith("key_rel")]
    table = torch.cat([x.flatten() for x in tables])
    for x in (table, (model.fcn if family is st_tr.Model else model.fc).weight):
        assert x.std().item() == pytest.approx(std, rel=0.2)


def test_published_starts_of_relative_positions() -> None:
    for family, args, std in ((st_tr.Model, ST_TR, 1.0), (zit_zot.Model, ZIT_ZOT, 0.1)):
        torch.manual_seed(0)
        tables = [x for n, x in family(**args, relative=True).named_parameters() if n.endswith("key_rel")]
        assert torch.cat([x.flatten() for x in tables]).std().item() == pytest.approx(std, rel=0.1)


def test_a_trained_model_may_be_used_with_other_regularisation(tmp_path: Path) -> None:
    args = {**ST_TR, "relative": True, "relative_std": 0.02}
    text = f"model: model.st_tr.Model\nmodel_args: {json.dumps(args)}\n"
    torch.save({"model": st_tr.Model(**args).state_dict(), "config": text}, tmp_path / "w.pt")
    weights = read_weights(tmp_path / "w.pt")
    given = {"dropout": 0.2, "drop_key": 0.1, "relative_std": 1.0}
    complete = weights.complete("model.st_tr.Model", given)
    assert {key: complete[key] for key in given} == given
    assert weights.complete("model.st_tr.Model", {})["relative_std"] == 0.02


def test_weights_may_name_an_option_of_an_earlier_version_that_acted_in_training_only(tmp_path: Path) -> None:
    args = {**ST_TR, "classifier_dropout": 0.5, "drop_path": 0.1}
    text = f"model: model.st_tr.Model\nmodel_args: {json.dumps(args)}\n"
    torch.save({"model": st_tr.Model(**ST_TR).state_dict(), "config": text}, tmp_path / "w.pt")
    assert "drop_path" not in read_weights(tmp_path / "w.pt").complete("model.st_tr.Model", {})


def test_all_mistakes_come_in_one_message() -> None:
    with pytest.raises(ValueError, match=r"drop_key: 1\.0 .*from 0.*dropout: 1 must"):
        st_tr.Model(**ST_TR, dropout=1, drop_key=1.0)


@pytest.mark.parametrize("channels", [[16, 16, 32], [32, 16, 16], [16, 32, 64]])
def test_attention_begins_with_the_second_stage_whatever_the_widths(channels: list[int]) -> None:
    model = st_tr.Model(**{**ST_TR, "channels": channels})
    attending = [any(isinstance(module, Attention) for module in block.modules()) for block in model.backbone]
    assert attending == [False] * 3 + [True] * 6
    windows = [block.tcn1.window for block in st_tr.Model(**{**T_TR, "channels": channels}, all_layers=True).backbone]
    assert windows == [10] * 4 + [None] * 6
