"""Constants follow the type of the numbers and the device, whatever the family and its switches."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import short
import torch
from torch import Tensor, nn

from model.fast import attention
from model.layers.attention import attend
from model.layers.terms import RelativeJoints
from processor.runtime import distributed

SMALL = {"num_class": 5, "channels": [16, 16, 32], "Nh": 2, "window_size": 4, "num_point": 15, "classifier_std": None}
GROUP = {"num_class": 5, "num_point": 15, "num_person": 3, "max_T": 4}
BESIDE = {"only_attention": False, "only_temporal_attention": False}
VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "s-tr": (short.Model, {"tcn_attention": True, "relative": True, "adjacency": True, **BESIDE}),
    "agcn": (short.Model, {"attention": False, "tcn_attention": True, "agcn": True, "use_data_bn": False}),
    "windows": (short.Model, {"all_layers": True, "tcn_attention": True, "relative": True, "dim_block1": 3}),
    "zit-zot": (short.ZitZot, {"drop_connectivity": True}),
    "ordered": (short.ZitZot, {"person_order": True, "spatial": False, "parallel": True, "relative": False}),
}
DTYPES = {torch.float64: 1e-4, torch.float16: 3e-2, torch.bfloat16: 1e-1}  # and the error that logits may have
every = pytest.mark.parametrize("name", VARIANTS)


def build(name: str) -> nn.Module:
    model, options = VARIANTS[name]
    torch.manual_seed(0)
    return model(**{**(SMALL if model is short.Model else GROUP), "dropout": 0.0, **options})


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def batch() -> Tensor:
    """Two samples, one without its second person, one without any."""
    x = torch.randn(2, 3, 4, 15, 2)
    x[0, ..., 1] = 0
    x[1] = 0
    return x


def outcome(model: nn.Module, x: Tensor, *, training: bool) -> tuple[Tensor, Tensor]:
    """Logits, and all gradients in a row."""
    torch.manual_seed(1)  # of the dropped keys
    y = model.train(training)(x)
    y.square().mean().backward()
    return y.detach(), torch.cat([p.grad.flatten().float() for p in model.parameters() if p.grad is not None])


def error(ours: Tensor, expected: Tensor) -> float:
    return float((ours.float() - expected).norm() / expected.norm())


@every
@pytest.mark.parametrize(
    ("dtype", "training"),
    [(torch.float64, True), (torch.float16, True), (torch.float16, False), (torch.bfloat16, True)],
    ids=str,
)
def test_every_type_is_close_to_float32(name: str, dtype: torch.dtype, training: bool) -> None:
    model, x = build(name), batch()
    expected, expected_gradient = outcome(deepcopy(model), x, training=training)
    y, gradient = outcome(model.to(dtype), x.to(dtype), training=training)
    assert y.dtype == dtype
    assert error(y, expected) < DTYPES[dtype]
    assert torch.isfinite(gradient).all()
    if not training:  # the statistics of so few samples make much of little
        assert error(gradient, expected_gradient) < 0.3


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
def test_a_default_type_is_that_of_the_whole_model(name: str, dtype: torch.dtype) -> None:
    x = batch()
    before = build(name).eval()
    torch.set_default_dtype(dtype)
    model = build(name)
    assert {value.dtype for value in model.state_dict().values() if value.is_floating_point()} == {dtype}
    assert model.train()(x).dtype == dtype
    assert before(x).dtype == torch.float32  # and a model that was there stays what it is


@every
@pytest.mark.parametrize("way", ["assigned", "emptied", "copied"])
def test_a_model_without_memory_becomes_one_by_its_weights(name: str, way: str) -> None:
    model, x = build(name).eval(), batch()
    with torch.device("meta"):
        other = build(name).eval()
    assert all(value.is_meta for value in [*other.parameters(), *other.buffers()])
    if way == "copied":
        other = deepcopy(model)
    elif way == "assigned":
        other.load_state_dict(model.state_dict(), assign=True)
    else:
        other.to_empty(device="cpu")
        for value in [*other.parameters(), *other.buffers()]:
            value.detach().fill_(7)
        other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), model(x))


@every
def test_a_default_device_is_not_that_of_the_input(name: str) -> None:
    model, x = build(name), batch()
    model.train()
    for module in model.modules():
        module.p = 0.5 if isinstance(module, nn.Dropout) else None
    with torch.device("meta"):
        assert model(x).device.type == "cpu"
        assert build(name)(torch.randn(2, 3, 4, 15, 2)).is_meta


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_dropped_keys_leave_nothing_in_any_type(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, extra: bool, on_gpu: bool
) -> None:
    if on_gpu:  # what a GPU would run for many tokens, computed here
        monkeypatch.setattr(Tensor, "is_cpu", False)
        monkeypatch.setattr(attention, "LONG", 1)
    q, k, v = (torch.randn(2, 3, 2, 5, 8, dtype=dtype).requires_grad_() for _ in range(3))
    keep = torch.rand(2, 3, 2, 1, 5) > 0.5
    keep[0, 0] = False  # all of them
    keep[1, 1] = torch.tensor([True, False, False, False, False])
    bias = torch.randn(5, 5, dtype=dtype) if extra else None
    y = attend(8 * q, k, v, [] if bias is None else [lambda _: bias], keep)
    assert torch.equal(y[0, 0], torch.zeros_like(y[0, 0]))
    torch.testing.assert_close(y[1, 1], v[1, 1, :, :1].expand(-1, 5, -1))
    y.sum().backward()
    for gradient in (q.grad, k.grad, v.grad):
        assert torch.isfinite(gradient).all()
        assert not gradient[0, 0].any()
    assert not v.grad.masked_select(~keep.transpose(-1, -2)).any()


def test_the_table_of_joints_needs_no_memory_beside_its_weights() -> None:
    table = RelativeJoints(1, 4)
    assert torch.equal(table.table()[0, 0], table.key_rel_diagonal[0])
    assert not list(RelativeJoints(5, 4).buffers())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_synchronised_statistics_have_the_types_of_batch_norm(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(distributed._Total, "apply", torch.clone)  # of one process
    monkeypatch.setattr(distributed, "world", lambda: 2)
    alone, model = nn.BatchNorm1d(4).double(), nn.Sequential(nn.BatchNorm1d(4)).to(dtype)
    distributed.synchronise_batch_norm(model)
    together = model[0]
    assert isinstance(together, distributed.SynchronisedBatchNorm)
    x = (3 * torch.randn(50, 4) + 10).to(dtype)
    y, expected = together(x), alone(x.double())
    assert y.dtype == dtype
    tolerance = 4 * torch.finfo(dtype).eps
    for ours, other in ((y, expected), *zip(together.buffers(), alone.buffers(), strict=True)):
        torch.testing.assert_close(ours.double(), other.double(), rtol=tolerance, atol=tolerance)
