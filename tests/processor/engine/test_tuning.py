"""Fine-tuning on other classes and on another skeleton: what fits is taken, and what does not is listed."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_weights import golden_weights
from runs import MODEL, Data, make, run_test, train, write_data
from torch import Tensor

from model.published import from_published
from model.st_tr import Model
from model.zit_zot import Model as ZitZot
from processor.engine.models import model_of_weights
from processor.state.checkpoint import read_checkpoint
from processor.state.weights import read_weights

RELATIVE = {**MODEL, "relative": True, "adjacency": True}
ST_TR = "model.st_tr.Model"
TERMS = "gcn1.attention.terms"
NEW_JOINTS = [  # of S-TR, whose numbers of blocks are in brackets
    "data_bn.weight", "data_bn.bias", "data_bn.running_mean", "data_bn.running_var", "gcn0.conv.mask", "gcn0.conv.A",
    "backbone.*.gcn1.conv.mask (3)", "backbone.*.gcn1.conv.A (3)", "backbone.*.gcn1.norm.weight (6)",
    "backbone.*.gcn1.norm.bias (6)", "backbone.*.gcn1.norm.running_mean (6)", "backbone.*.gcn1.norm.running_var (6)",
    "backbone.*.gcn1.attention.terms.relative.key_rel (6)", "backbone.*.gcn1.attention.terms.adjacency.mask (6)",
    "backbone.*.gcn1.attention.terms.adjacency.adjacency (6)",
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Data:
    (tmp_path / "a").mkdir()
    return write_data(tmp_path / "a")


def of_joints(data: Data, folder: Path, V: int) -> Data:
    """The same samples with the first V joints."""
    folder.mkdir()
    for paths in data.values():
        path = Path(paths["data_path"])
        np.save(folder / path.name, np.load(path)[:, :, :, :V])
        label = Path(paths["label_path"])
        (folder / label.name).write_bytes(label.read_bytes())
    return {part: {k: str(folder / Path(v).name) for k, v in paths.items()} for part, paths in data.items()}


def state(folder: Path) -> dict[str, Tensor]:
    return read_checkpoint(folder / "last.pt")["model"]


def left_out(caplog: pytest.LogCaptureFixture) -> dict[str, list[str]]:
    """What the log says, by the reason."""
    lines = [line.removeprefix("not taken, ") for line in caplog.messages if line.startswith("not taken, ")]
    return {why: names.split(", ") for why, names in (line.split(": ") for line in lines)}


def test_other_classes_get_a_new_classifier(data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    train(make(data, tmp_path, num_epoch=1))
    path = tmp_path / "run" / "last.pt"
    more: dict[str, Any] = {"model_args": {**MODEL, "num_class": 5}, "weights": path, "num_epoch": 1}
    with pytest.raises(ValueError, match=r"set `num_class: 3` or drop the key, or fine-tune what fits with --ignore_w"):
        train(make(data, tmp_path, work_dir=tmp_path / "b", **more))
    by_name = train(make(data, tmp_path, work_dir=tmp_path / "b", ignore_weights=["fcn."], **more))
    caplog.clear()
    auto = train(make(data, tmp_path, work_dir=tmp_path / "c", ignore_weights=["auto"], **more))
    assert left_out(caplog) == {"of other classes": ["fcn.weight", "fcn.bias"]}
    np.testing.assert_array_equal(auto.scores, by_name.scores)
    b, c = state(tmp_path / "b"), state(tmp_path / "c")
    assert all(torch.equal(b[name], c[name]) for name in b)
    tested = run_test(make(data, tmp_path, work_dir=tmp_path / "c", ignore_weights=["auto"], model_args={}))
    np.testing.assert_allclose(tested.scores, auto.scores, atol=1e-5)  # a test leaves no weights out


def test_another_skeleton_keeps_what_does_not_depend_on_joints(
    data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    train(make(data, tmp_path, num_epoch=1, model=ST_TR, model_args=RELATIVE))
    args = {**RELATIVE, "num_point": 17, "graph": "graph.coco.Graph"}
    other = of_joints(data, tmp_path / "b", 17)
    config = make(
        other, tmp_path, num_epoch=1, base_lr=1e-9, model=ST_TR, model_args=args, ignore_weights=["auto"],
        weights=tmp_path / "run" / "last.pt", work_dir=tmp_path / "tuned",
    )  # fmt: skip
    train(config)
    assert left_out(caplog) == {"of other joints": NEW_JOINTS}
    assert any(line.endswith("181 of the model's 235 tensors are taken") for line in caplog.messages)
    old, new, fresh = state(tmp_path / "run"), state(tmp_path / "tuned"), Model(**args).state_dict()
    same = [name for name in old if old[name].shape == new[name].shape and "running" not in name and "num_" not in name]
    assert {"fcn.weight", "backbone.6.gcn1.attention.qkv.weight", "gcn0.conv.linear.weight",
            f"backbone.8.{TERMS}.relative.key_rel_diagonal"} <= {*same}  # fmt: skip
    for name in same:
        torch.testing.assert_close(new[name], old[name], atol=1e-6, rtol=0)
    for name in ("gcn0.conv.A", "backbone.6.gcn1.attention.terms.adjacency.adjacency"):
        torch.testing.assert_close(new[name], fresh[name])


def test_joints_of_the_same_number_may_be_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Shapes do not tell a skeleton from another one with as many joints."""
    caplog.set_level(logging.INFO)
    file = tmp_path / "chain.yaml"
    joints, bones = [f"j{v}" for v in range(20)], [[f"j{v}", f"j{v + 1}"] for v in range(19)]
    file.write_text(f"name: chain\ncenter: j0\njoints: {joints}\nbones: {bones}\n", encoding="utf-8")
    custom = {**RELATIVE, "graph": "graph.custom.Graph", "graph_args": {"path": str(file)}}
    weights = saved(tmp_path / "w.pt", Model(**RELATIVE), RELATIVE)
    model, args = model_of_weights(ST_TR, custom, weights, ["auto"])
    assert left_out(caplog) == {"of other joints": NEW_JOINTS}
    assert args["graph"] == "graph.custom.Graph"
    fresh = Model(**custom).state_dict()
    torch.testing.assert_close(model.state_dict()["gcn0.conv.A"], fresh["gcn0.conv.A"])
    caplog.clear()
    model_of_weights(ST_TR, RELATIVE, weights, ["auto"])
    assert left_out(caplog) == {}
    moved = tmp_path / "moved.yaml"
    weights = saved(tmp_path / "v.pt", Model(**custom), custom)
    file.rename(moved)
    model_of_weights(ST_TR, RELATIVE, weights, ["auto"])
    assert left_out(caplog) == {"of other joints": NEW_JOINTS}


def saved(path: Path, model: Model, args: dict[str, Any]) -> Any:
    """Weights as a run keeps them."""
    config = {"model": ST_TR, "model_args": args}
    torch.save({"model": model.state_dict(), "config": repr(config).replace("True", "true")}, path)
    return read_weights(path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"window_size": 16}, {"of another shape": ["backbone.*.tcn1.attention.terms.relative.key_rel (6)"]}),
        ({"num_person": 2}, {"of another shape": NEW_JOINTS[:4]}),
    ],
)  # fmt: skip
def test_other_windows_and_persons(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    caplog.set_level(logging.INFO)
    args = {**MODEL, "attention": False, "tcn_attention": True, "relative": True}
    weights = saved(tmp_path / "w.pt", Model(**args), args)
    model, _ = model_of_weights(ST_TR, {**args, **changes}, weights, ["auto"])
    assert left_out(caplog) == expected
    assert torch.equal(model.state_dict()["fcn.weight"], weights.state["fcn.weight"])
    caplog.clear()
    model_of_weights(ST_TR, {**args, **changes}, weights, ["auto", "backbone.8.tcn1"])
    assert sum("backbone.8.tcn1.bn" in name for name in left_out(caplog)["ignored"]) == 0  # numbers are stars
    assert "backbone.*.tcn1.bn.weight" in left_out(caplog)["ignored"]


def test_frozen_parameters_that_are_not_taken_are_told(
    data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(make(data, tmp_path, num_epoch=1))
    settings = {"num_epoch": 1, "weights": tmp_path / "run" / "last.pt", "freeze": ["fcn", "data_bn"]}
    for ignored, told in (["fcn"], True), ([], False):
        caplog.clear()
        train(make(data, tmp_path, work_dir=tmp_path / f"{told}", ignore_weights=ignored, **settings))
        said = "freeze: 2 parameters are not taken from the weights, and keep their first numbers: fcn.weight, fcn.bias"
        assert (said in caplog.text) == told


def test_what_the_data_do_not_decide_must_agree(tmp_path: Path) -> None:
    weights = saved(tmp_path / "w.pt", Model(**MODEL), MODEL)
    with pytest.raises(
        ValueError, match="these weights hold attention: True, model_args say attention: False"
    ) as caught:
        model_of_weights(ST_TR, {**MODEL, "num_class": 9, "attention": False}, weights, ["auto"])
    assert "auto" not in str(caught.value)
    with pytest.raises(ValueError, match="ignore_weights: no weights of the model begin with 'fnc'"):
        model_of_weights(ST_TR, MODEL, weights, ["auto", "fnc"])
    torch.save({"other.weight": torch.zeros(2)}, tmp_path / "o.pt")
    with pytest.raises(ValueError, match=r"weights: nothing in .*o\.pt fits the model; leave weights out"):
        model_of_weights(ST_TR, MODEL, read_weights(tmp_path / "o.pt"), ["auto"])


def test_classes_of_the_same_number_may_be_others(data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    names = tmp_path / "a" / "classes.txt"
    names.write_text("jump\nrun\nsit\n")
    train(make(data, tmp_path, num_epoch=1))
    settings: dict[str, Any] = {"num_epoch": 1, "weights": tmp_path / "run" / "last.pt", "ignore_weights": ["auto"]}
    for number, (of_data, said, known, new) in enumerate([
        ("sit\njump\nrun\n", None, ["jump", "run", "sit"], False),  # numbered otherwise, and matched by name
        ("jump\nrun\ndance\n", None, ["jump", "run", "dance"], True),
        ("jump\nrun\nsit\n", ["sit", "jump", "run"], ["jump", "run", "sit"], False),  # the configuration's order
        ("jump\nrun\nsit\n", ["sit", "jump", "dance"], None, True),
    ]):  # fmt: skip
        names.write_text(of_data)
        caplog.clear()
        folder = tmp_path / f"{number}"
        if known is None:
            with pytest.raises(ValueError, match="does not know 'run'"):
                train(make(data, tmp_path, work_dir=folder, class_names=said, **settings))
            continue
        train(make(data, tmp_path, work_dir=folder, class_names=said, **settings))
        assert read_checkpoint(folder / "last.pt")["class_names"] == known
        assert ("of other classes" in left_out(caplog)) == new
    with pytest.raises(ValueError, match=r"class_names name other classes: 'jump' and 'sit'.* --ignore_weights auto"):
        train(make(data, tmp_path, class_names=["sit", "jump", "dance"], **{**settings, "ignore_weights": []}))


def test_published_weights_are_tuned_on_another_skeleton(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Their tensors have other names; those that are taken are those of the converted model."""
    caplog.set_level(logging.INFO)
    variant = json.loads((Path(__file__).parents[2] / "golden" / "st_tr.json").read_text())["variants"]["s-tr"]
    tensors = {key: torch.as_tensor(x) for key, x in golden_weights(variant["state"]).items()}
    torch.save(tensors, tmp_path / "w.pt")
    args = {"num_class": 7, "num_point": 20, "num_person": 1, "graph": "graph.nw_ucla.Graph"}
    model, _ = model_of_weights(ST_TR, args, read_weights(tmp_path / "w.pt"), ["auto"])
    whole, tuned = from_published(tensors).state_dict(), model.state_dict()
    left = left_out(caplog)
    assert left["of other classes"] == ["fcn.weight", "fcn.bias"]
    assert left["of other joints"] == [
        *NEW_JOINTS[:6], "backbone.*.gcn1.conv.mask (3)", "backbone.*.gcn1.conv.A (3)",
        *(f"backbone.*.gcn1.norm.{x} (6)" for x in ("weight", "bias", "running_mean", "running_var")),
    ]  # fmt: skip
    assert list(left) == ["of other joints", "of other classes"]
    for name in ("gcn0.conv.linear.weight", "backbone.8.gcn1.attention.qkv.weight", "backbone.3.tcn1.bn.running_var"):
        assert torch.equal(tuned[name], whole[name])


def test_zit_zot_is_tuned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    args: dict[str, Any] = {
        "num_class": 3,
        "num_point": 20,
        "num_person": 2,
        "graph": "graph.nw_ucla.Graph",
        "max_T": 8,
    }
    config = {"model": "model.zit_zot.Model", "model_args": args}
    torch.save({"model": ZitZot(**args).state_dict(), "config": repr(config)}, tmp_path / "w.pt")
    other = {**args, "num_class": 4, "num_point": 15, "graph": "graph.sbu.Graph"}
    model_of_weights(config["model"], other, read_weights(tmp_path / "w.pt"), ["auto"])
    assert left_out(caplog) == {
        "of other joints": [
            *NEW_JOINTS[:4], "gcn1.PA", "gcn1.conv.A", "zit.*.spatial.attention.terms.relative.key_rel (6)",
            "zit.*.spatial.attention.terms.adjacency.mask (6)", "zit.*.spatial.attention.terms.adjacency.adjacency (6)",
        ],
        "of other classes": ["fc.weight", "fc.bias"],
    }  # fmt: skip
