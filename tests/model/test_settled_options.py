"""Weights settle the graph that was used; options of the start of training leave no trace in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from model import st_tr
from model.published import agree
from processor.state.weights import load_weights, read_weights

OLD: dict[str, Any] = {
    "num_class": 3,
    "channels": [16, 16, 32],
    "Nh": 2,
    "num_person": 1,
}  # no graph, no classifier_std
ST_TR = "model.st_tr.Model"
NTU, COCO, VOLLEYBALL = "graph.ntu_rgb_d.Graph", "graph.coco.Graph", "graph.volleyball.AdjMatrixGraph"


def checkpoint(path: Path, **options: Any) -> Path:
    """A file as a run saves it, with the options as they were given."""
    given = {**OLD, **options}
    config = f"model: model.st_tr.Model\nmodel_args: {json.dumps(given)}\n"
    named = {**given, "graph": COCO} if given.get("num_point") == 17 else given
    torch.save({"model": st_tr.Model(**named).state_dict(), "config": config}, path)
    return path


@pytest.mark.parametrize(
    "given", [{}, {"graph": None}, {"graph": NTU, "classifier_std": 0.01}, {"classifier_std": None}]
)
def test_a_checkpoint_without_the_newer_options_loads(tmp_path: Path, given: dict[str, Any]) -> None:
    weights = read_weights(checkpoint(tmp_path / "w.pt"))
    model = st_tr.Model(**weights.complete(ST_TR, given))
    load_weights(model, weights)
    assert model.options.graph == NTU
    assert model.options.classifier_std == given.get("classifier_std", 0.01)
    assert torch.equal(model.fcn.weight, weights.state["fcn.weight"])


@pytest.mark.parametrize("saved", [{}, {"graph": COCO}])
@pytest.mark.parametrize("given", [{}, {"num_point": 17}, {"graph": COCO}, {"graph": None}])
def test_the_graph_in_use_is_named(tmp_path: Path, saved: dict[str, Any], given: dict[str, Any]) -> None:
    weights = read_weights(checkpoint(tmp_path / "w.pt", num_point=17, **saved))
    args = weights.complete(ST_TR, given)
    assert st_tr.Model(**args).options.graph == COCO
    if given.get("graph"):
        assert args["graph"] == COCO


@pytest.mark.parametrize("given", [{}, {"graph": COCO}, {"graph": NTU}])
def test_a_name_that_was_replaced_then_is_replaced_again(tmp_path: Path, given: dict[str, Any]) -> None:
    weights = read_weights(checkpoint(tmp_path / "w.pt", num_point=17, graph=NTU))
    with pytest.warns(UserWarning, match=r"graph\.coco\.Graph is taken instead"):
        args = weights.complete(ST_TR, given)
    assert args["graph"] == COCO  # and nothing warns again, which would be an error here
    assert st_tr.Model(**args).options.graph == COCO


@pytest.mark.parametrize("saved", [{}, {"graph": COCO}])
def test_another_graph_than_the_one_in_use_is_refused(tmp_path: Path, saved: dict[str, Any]) -> None:
    weights = read_weights(checkpoint(tmp_path / "w.pt", num_point=17, **saved))
    with pytest.raises(
        ValueError, match=rf"hold graph: {COCO}, model_args say graph: {VOLLEYBALL}; set `graph: {COCO}`"
    ):
        weights.complete(ST_TR, {"graph": VOLLEYBALL})


def test_options_of_models_from_elsewhere_are_left_alone() -> None:
    assert agree({"num_point": 17}, {"graph": "mine.Graph"}) == {"num_point": 17, "graph": "mine.Graph"}
    assert agree({"num_point": 17}, {"width": 3}) == {"num_point": 17, "width": 3}
    assert agree({}, {"graph": NTU, "num_point": 17}) == {"graph": NTU, "num_point": 17}


@pytest.mark.parametrize("num_point", ["many", [25], None, 25.0, 21])
def test_a_forged_number_of_joints_breaks_nothing(tmp_path: Path, num_point: Any) -> None:
    config = f"model: model.st_tr.Model\nmodel_args: {json.dumps({'num_point': num_point})}\n"
    torch.save({"model": {"fcn.bias": torch.zeros(3)}, "config": config}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"weights: .*num_point"):
        read_weights(tmp_path / "w.pt").complete(ST_TR, {"graph": NTU})
