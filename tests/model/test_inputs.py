"""What a model takes, what it completes, and what it refuses in words; the same in both families."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import short
import torch
from torch import Tensor, nn

from model.fast import attention, chunks

ST_TR: dict[str, Any] = {"num_class": 5, "channels": [16, 16, 32], "Nh": 2, "window_size": 12, "num_point": 15}
ZIT_ZOT: dict[str, Any] = {"num_class": 5, "num_point": 15, "max_T": 12}
T_TR = {"attention": False, "tcn_attention": True, "relative": True}
MODELS: dict[str, Callable[..., nn.Module]] = {
    "s-tr": lambda **o: short.Model(**{**ST_TR, **o}),
    "t-tr": lambda **o: short.Model(**{**ST_TR, **T_TR, **o}),
    "windows": lambda **o: short.Model(**{**ST_TR, **T_TR, "all_layers": True, "dim_block1": 5, **o}),
    "agcn": lambda **o: short.Model(**{**ST_TR, "attention": False, "agcn": True, **o}),
    "zit-zot": lambda **o: short.ZitZot(**{**ZIT_ZOT, **o}),
    "ordered": lambda **o: short.ZitZot(**{**ZIT_ZOT, "person_order": True, **o}),
}


@cache
def ready(name: str) -> nn.Module:
    """One for all tests that leave it as it is."""
    return MODELS[name]().eval()


every = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@every
@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((2, 3, 8, 25, 2), "has 25 joints, the model takes 15 (model_args.num_point); give data that fit"),
        ((2, 2, 8, 15, 2), "has 2 channels, the model takes 3 (model_args."),
        ((2, 15, 8, 3, 2), "has 15 channels, the model takes 3 (model_args."),
        ((2, 3, 0, 15, 2), "(2, 3, 0, 15, 2) has no frames; "),
        ((2, 3, 8, 15, 0), "(2, 3, 8, 15, 0) has no persons; "),
        (
            (3, 8, 15),
            "(3, 8, 15) of torch.float32, where the model takes a tensor of real numbers with the axes (N, C,",
        ),
        ((1, 2, 3, 8, 15, 2), "(1, 2, 3, 8, 15, 2) of torch.float32, where the model takes a tensor"),
        ((2, 3, 8, 14), "(2, 3, 8, 14, 1) has 14 joints, the model takes 15"),
    ],
)
def test_other_axes_are_refused_in_one_sentence(name: str, shape: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^input: [^\n]*{re.escape(sentence)}[^\n]*$"):
        ready(name)(torch.randn(shape))


def test_all_that_differs_is_named_together() -> None:
    with pytest.raises(ValueError, match=r"has 4 channels.*\(model_args\.channel\) and 17 joints.* and 3 persons, the"):
        MODELS["s-tr"]()(torch.randn(2, 4, 8, 17, 3))


@every
@pytest.mark.parametrize("x", [torch.zeros(1, 3, 8, 15, 2, dtype=torch.complex64), [[1.0]]], ids=["complex", "list"])
def test_other_kinds_of_numbers_are_refused(name: str, x: Any) -> None:
    with pytest.raises(ValueError, match=r"input: .*(complex64|list), where the model takes a tensor of real numbers"):
        ready(name)(x)


@every
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float64, torch.float16])
def test_real_numbers_of_any_type_become_that_of_the_weights(name: str, dtype: torch.dtype) -> None:
    model, x = ready(name), (5 * torch.rand(2, 3, 8, 15, 2)).to(dtype)
    y = model(x)
    assert y.dtype == torch.float32
    assert torch.equal(y, model(x.float()))


@pytest.mark.parametrize("name", ["s-tr", "t-tr", "windows", "agcn", "ordered"])
def test_persons_that_an_input_lacks_are_absent_ones_and_more_are_refused(name: str) -> None:
    model, x = MODELS[name](num_person=3).eval(), torch.randn(2, 3, 8, 15, 2)
    zeros = torch.zeros(2, 3, 8, 15, 1)
    assert torch.equal(model(x), model(torch.cat([x, zeros], dim=-1)))
    assert not torch.allclose(model(x), model(torch.cat([x, x[..., :1]], dim=-1)), atol=1e-5)
    with pytest.raises(ValueError, match=r"has 4 persons, the model takes at most 3 \(model_args\.num_person\)"):
        model(torch.randn(2, 3, 8, 15, 4))


def test_without_an_order_any_number_of_persons_will_do_and_absent_ones_change_nothing() -> None:
    model = MODELS["zit-zot"](num_person=2).double().eval()
    x = torch.randn(2, 3, 4, 15, 5).double()
    x[..., 1] = x[..., 4] = 0
    torch.testing.assert_close(model(x), model(x[..., [0, 2, 3]]))
    torch.testing.assert_close(model(x[..., :2]), model(x[..., :1]))


@every
def test_four_axes_are_one_person(name: str) -> None:
    model, x = ready(name), torch.randn(2, 3, 8, 15)
    assert torch.equal(model(x), model(x[..., None]))


@every
def test_the_input_stays_as_it_was(name: str) -> None:
    x = torch.randn(2, 3, 8, 15, 2)
    before = x.clone()
    MODELS[name](dropout=0.5).train()(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("T", [1, 2, 5, 40])
@pytest.mark.parametrize("name", ["s-tr", "agcn"])
def test_any_number_of_frames_where_no_table_bounds_it(name: str, T: int) -> None:
    assert ready(name)(torch.randn(1, 3, T, 15, 2)).shape == (1, 5)


@pytest.mark.parametrize(("name", "option"), [("t-tr", "window_size"), ("zit-zot", "max_T")])
def test_frames_beyond_a_table_are_refused_with_the_remedy(name: str, option: str) -> None:
    with pytest.raises(ValueError, match=rf"attention gets .* frames .*set model_args\.{option} to the number of fra"):
        ready(name)(torch.randn(1, 3, 40, 15, 2))


@every
@pytest.mark.parametrize(("T", "training"), [(1, False), (1, True), (8, True)])
def test_of_no_samples_there_are_no_logits(name: str, T: int, training: bool) -> None:
    model = MODELS[name]().train(training)
    y = model(torch.randn(0, 3, T, 15, 2))
    assert y.shape == (0, 5)
    y.sum().backward()
    assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


@every
@pytest.mark.parametrize("on_gpu", [False, True])
def test_of_no_samples_on_other_routes(monkeypatch: pytest.MonkeyPatch, name: str, on_gpu: bool) -> None:
    if on_gpu:  # what a GPU would run for many tokens, computed here
        monkeypatch.setattr(Tensor, "is_cpu", False)
        monkeypatch.setattr(attention, "LONG", 1)
        monkeypatch.setattr(chunks, "LONG", 1)
    else:
        monkeypatch.setattr(chunks, "SMALL", 0)
    with torch.autocast("cpu", torch.bfloat16, enabled=not on_gpu):
        assert MODELS[name]().train()(torch.randn(0, 3, 8, 15, 2)).shape == (0, 5)


@pytest.mark.parametrize("name", ["s-tr", "t-tr", "windows", "zit-zot", "ordered"])
def test_one_sample_of_one_frame_cannot_be_trained_on(name: str) -> None:
    model, x = MODELS[name](num_person=1), torch.randn(1, 3, 1, 15, 1)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        model.train()(x)
    assert model.eval()(x).shape == (1, 5)
    assert model.train()(x.expand(2, -1, -1, -1, -1)).shape == (2, 5)
    assert model.train()(x.expand(-1, -1, 9, -1, -1)).shape == (1, 5)  # of enough frames one will do
