"""Published checkpoints give the published logits, with their options and without."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.published import from_published

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

from golden import golden_input, weight  # noqa: E402

FILE = json.loads((GOLDEN / "st_tr.json").read_text())


def checkpoint(name: str) -> dict[str, np.ndarray]:
    return {key: weight(key, shape) for key, shape in FILE["variants"][name]["state"].items()}


def error(name: str, model_args: dict[str, Any] | None) -> float:
    """Relative error of the logits in float64."""
    variant = FILE["variants"][name]
    model = from_published(checkpoint(name), model_args).double()
    with torch.no_grad():
        logits = model(torch.from_numpy(golden_input(variant["input"])).double()).numpy()
    expected = np.array(variant["logits"])
    return float(np.linalg.norm(logits - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("name", FILE["variants"])
def test_golden_logits(name: str) -> None:
    args = {**FILE["base"], **FILE["variants"][name]["model_args"], "graph": FILE["variants"][name]["graph"]}
    assert error(name, args) < 1e-6


@pytest.mark.parametrize("name", [name for name in FILE["variants"] if name != "s-tr-plain"])
def test_golden_logits_of_inferred_options(name: str) -> None:
    assert error(name, None) < 1e-6


def test_published_names_of_graphs_are_understood() -> None:
    model = from_published(checkpoint("s-tr"), {"graph": "st_gcn.graph.NTU_RGB_D", "weight_matrix": 2})
    assert model.options.graph == "graph.ntu_rgb_d.Graph"


def test_prefixes_of_data_parallel_are_taken_off() -> None:
    model = from_published({f"module.{key}": value for key, value in checkpoint("s-tr").items()})
    assert torch.equal(model.fcn.bias, torch.from_numpy(checkpoint("s-tr")["fcn.bias"]))


def test_what_does_not_fit_is_named() -> None:
    lacking = checkpoint("s-tr")
    del lacking["backbone.2.tcn1.conv.bias"]
    with pytest.raises(ValueError, match=r"backbone\.2\.tcn1\.conv\.bias is missing"):
        from_published(lacking)
    with pytest.raises(ValueError, match=r"strange"):
        from_published({**checkpoint("s-tr"), "strange": np.zeros(3)})
    with pytest.raises(ValueError, match=r"fcn\.weight gives \(60, 256\), the model takes \(7, 256\)"):
        from_published(checkpoint("s-tr"), {"num_class": 7})
    with pytest.raises(ValueError, match="not a state dict of ST-TR"):
        from_published({"conv1.weight": np.zeros((3, 3))})


def test_idle_weights_are_accepted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    idle = {f"backbone.4.tcn1.tcn_conv.conv.{p}": np.zeros(s) for p, s in (("weight", (96, 128, 9, 1)), ("bias", 96))}
    state = checkpoint("t-tr")
    with torch.no_grad():
        x = torch.from_numpy(golden_input([1, 3, 20, 25, 2]))
        assert torch.equal(from_published({**state, **idle})(x), from_published(state)(x))
    assert "are idle" in caplog.text


def test_a_model_from_scratch_has_the_true_adjacency_and_a_published_agcn_the_slip() -> None:
    published = from_published(checkpoint("t-tr-agcn"))
    assert published.gcn0.conv.A.unique().tolist() == pytest.approx([1e-6])
    fresh = type(published)(agcn=True, attention=False, tcn_attention=True)
    np.testing.assert_allclose(
        fresh.gcn0.conv.A.numpy(), np.load(GOLDEN / "graphs.npz")["ntu_rgb_d.spatial"], atol=1e-7
    )
    fresh.load_state_dict(published.state_dict())  # our own checkpoints keep the adjacency that they were trained with
    assert torch.equal(fresh.gcn0.conv.A, published.gcn0.conv.A)
