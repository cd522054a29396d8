"""Published checkpoints give the published logits, with their options and without."""

from __future__ import annotations

import contextlib
import json
import random
import re
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from golden.golden import golden_input
from golden_weights import golden_weights
from hypothesis import strategies as st
from published_twin import logits, state_shapes
from test_published_twin import COMBINATIONS, args_of, short

from graph import graph_of
from graph.tools import LABELING_MODES
from model.published import from_published

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

FILE = json.loads((GOLDEN / "st_tr.json").read_text())


def checkpoint(name: str) -> dict[str, np.ndarray]:
    return golden_weights(FILE["variants"][name]["state"])


def options(name: str) -> dict[str, Any]:
    variant = FILE["variants"][name]
    return {**FILE["base"], **variant["model_args"], "graph": variant["graph"]}


@pytest.mark.parametrize(
    ("dtype", "error", "number"),
    [(torch.float32, 2e-6, 1), *(pytest.param(*case, marks=pytest.mark.slow) for case in (
        (torch.float32, 2e-6, 2), (torch.float64, 1e-6, 2),
    ))],
)  # fmt: skip
@pytest.mark.parametrize("name", FILE["variants"])
def test_golden_logits(name: str, dtype: torch.dtype, error: float, number: int) -> None:
    """Of the first `number` samples."""
    variant = FILE["variants"][name]
    model = from_published(checkpoint(name), options(name)).to(dtype)
    with torch.no_grad():
        logits = model(torch.from_numpy(golden_input(variant["input"])[:number]).to(dtype)).numpy()
    expected = np.array(variant["logits"])[:number]
    assert np.linalg.norm(logits - expected) < error * np.linalg.norm(expected)


@pytest.mark.parametrize("name", FILE["variants"])
def test_inferred_options_give_the_same_model(name: str) -> None:
    shape = FILE["variants"][name]["input"]
    x = torch.from_numpy(golden_input([1, shape[1], 12, *shape[3:]]))
    traceless = {"skip_conn": False, "data_normalization": False} if name == "s-tr-plain" else None
    with torch.no_grad():
        inferred = from_published(checkpoint(name), traceless)(x)
        assert torch.equal(inferred, from_published(checkpoint(name), options(name))(x))


# what leaves no trace in the weights, or not always
TRACELESS = (
    "window_size", "skip_conn", "use_data_bn", "Nh", "n", "more_channels", "dk", "dv", "data_normalization",
    "relative", "graph_args", "dim_block1", "dim_block2",
)  # fmt: skip


def errors_of_combination(args: dict[str, Any]) -> tuple[float, float]:
    """Relative errors of our logits against the twin's: with all options, and with those that leave no trace."""
    state = golden_weights(state_shapes(args))
    x = golden_input([2, *(args[key] for key in ("channel", "window_size", "num_point", "num_person"))])
    expected = logits(state, x, args)
    errors = []
    for given in ({**args, "graph": graph_of(args["num_point"])}, {k: args[k] for k in TRACELESS if k in args}):
        with torch.no_grad():
            ours = from_published(state, given).double()(torch.from_numpy(x).double()).numpy()
        errors.append(float(np.linalg.norm(ours - expected) / np.linalg.norm(expected)))
    return errors[0], errors[1]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if i % 5 else name for i, name in enumerate(COMBINATIONS)]
)
def test_combinations_give_the_logits_of_the_twin(name: str) -> None:
    assert max(errors_of_combination(short(COMBINATIONS[name]))) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_random_options_give_the_logits_of_the_twin(seed: int) -> None:
    rng = random.Random(seed)
    switches = (
        "attention", "tcn_attention", "only_attention", "only_temporal_attention", "relative", "adjacency",
        "concat_original", "skip_conn", "data_normalization", "mask_learning", "use_local_bn", "use_data_bn",
        "agcn", "more_channels", "all_layers", "double_channel",
    )  # fmt: skip
    choices: dict[str, tuple[Any, ...]] = {
        **{switch: (False, True) for switch in switches},
        "window_size": (9, 12, 16), "n": (2, 4, 8), "Nh": (2, 4, 8), "dk": (0.25, 0.5), "dv": (0.25, 0.5),
        "num_person": (1, 2), "num_point": (25, 18, 20), "num_class": (7, 60), "dim_block1": (5, 10),
        "dim_block2": (5, 30), "graph_args": tuple({"labeling_mode": mode} for mode in LABELING_MODES),
    }  # fmt: skip
    args = args_of({name: rng.choice(values) for name, values in choices.items()})
    args["channel"] = 6 if args["double_channel"] else 3
    error = max(errors_of_combination(args))
    assert error < 1e-6 or error < 2 * effect_of_rounding(args)


def effect_of_rounding(args: dict[str, Any]) -> float:
    """How far the twin's logits move when its weights move by a rounding of float32.

    Without any normalisation logits of attention are so large that softmax is a choice, and this is much.
    """
    exact = {key: value.astype(np.float64) for key, value in golden_weights(state_shapes(args)).items()}
    rng = np.random.default_rng(0)
    moved = {key: value * (1 + 2**-24 * rng.choice([-1, 1], value.shape)) for key, value in exact.items()}
    x = golden_input([2, *(args[key] for key in ("channel", "window_size", "num_point", "num_person"))])
    expected = logits(exact, x, args)
    return float(np.linalg.norm(logits(moved, x, args) - expected) / np.linalg.norm(expected))


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=30, deadline=None)
def test_damaged_weights_are_refused_with_a_sentence(data: st.DataObject) -> None:
    shapes = dict(FILE["variants"][data.draw(st.sampled_from(["s-tr", "t-tr-agcn", "one-stream"]))]["state"])
    telling = [key for key in shapes if re.search("fcn|data_bn|qkv|attn_out|key_rel|PA$|mask|conv_list.0|down1", key)]
    for key in data.draw(st.sets(st.sampled_from(telling), min_size=1, max_size=3)):
        shapes[key] = data.draw(st.none() | st.lists(st.sampled_from([0, 1, 3, 7, 60, 128]), max_size=4))
    state = {key: np.zeros(shape, np.float32) for key, shape in shapes.items() if shape is not None}
    with contextlib.suppress(ValueError):  # anything else is a traceback from inside
        from_published(state)


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
    with pytest.raises(ValueError, match="hold num_class: 60, model_args say num_class: 7; set `num_class: 60` or"):
        from_published(checkpoint("s-tr"), {"num_class": 7})
    with pytest.raises(ValueError, match=r"fcn\.weight gives \(60, 200\), the model takes \(60, 256\)"):
        from_published({**checkpoint("s-tr"), "fcn.weight": np.zeros((60, 200, 1))})
    with pytest.raises(ValueError, match="of no published model, or lack keys"):
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
