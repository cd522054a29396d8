"""The product of features and graph on a GPU has the values and the gradients of the plain one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernels import DEVICE, TOLERANCES, here, on_a_gpu
from torch import Tensor

from model import fast
from model.fast import gpu
from model.fast.faster import plain
from model.layers.gcn import propagate

SIZES = [  # partitions, joints, channels
    *((3, V, C) for V in (2, 18, 25) for C in (3, 16, 64, 80)),
    *((1, V, C) for V, C in ((2, 16), (18, 80), (25, 3), (25, 64))),
]
LOW = [(1, 2, 16), (3, 18, 3), (3, 25, 80)]  # of them in half precision


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with so few programs that one adds up several frames."""
    from model.fast.gpu import propagate as kernels

    monkeypatch.setattr(kernels, "PROGRAMS", 2)
    torch.manual_seed(0)
    return kernels


def some(rows: tuple[int, int], K: int, V: int, W: int, C: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Features (*rows, V, C) and a graph (K, V, W)."""
    x, A = torch.randn(*rows, V, C).to(DEVICE, dtype), torch.randn(K, V, W).to(DEVICE)
    return [x.requires_grad_(), A.requires_grad_()]


def gradients(y: Tensor, x: Tensor, A: Tensor) -> tuple[Tensor, ...]:
    weights = torch.linspace(-1, 1, y.numel(), device=y.device).view(y.shape).to(y.dtype)
    return y, *torch.autograd.grad(y, (x, A), weights)


def assert_equals_plain(y: Tensor, x: Tensor, A: Tensor, dtype: torch.dtype) -> None:
    """`y` is of this type, and it and its gradients are within a part of the norms of what float64 gives."""
    assert y.dtype == dtype
    x64, A64 = (tensor.detach().to(dtype).double().requires_grad_() for tensor in (x, A))
    truths = gradients(plain(propagate)(x64, A64), x64, A64)
    for value, truth, of in zip(gradients(y, x, A), truths, (y, x, A), strict=True):
        assert value.dtype == of.dtype
        assert value.shape == truth.shape
        assert (value.double() - truth).norm() <= TOLERANCES[dtype] * truth.norm()


@here
@pytest.mark.parametrize(
    ("dtype", "sizes"),
    [(dtype, sizes) for dtype in TOLERANCES for sizes in SIZES if dtype == torch.float32 or sizes in LOW],
    ids=str,
)
def test_values_and_gradients(kernels: Any, dtype: torch.dtype, sizes: tuple[int, int, int]) -> None:
    K, V, C = sizes
    x, A = some((1, 3 if sizes in LOW else 1), K, V, V, C, dtype)
    assert kernels.serves(x, A)
    y = kernels.propagate_frames(x, A)
    assert y.is_contiguous()
    assert_equals_plain(y, x, A, dtype)


@here
@pytest.mark.parametrize("order", ["joints first", "channels first", "gaps", "expanded", "graph"])
def test_any_order_of_memory(kernels: Any, order: str) -> None:
    x, A = (tensor.detach() for tensor in some((2, 2), 2, 5, 4, 6))
    if order == "joints first":
        x = x.permute(2, 1, 0, 3).contiguous().permute(2, 1, 0, 3)
    elif order == "channels first":
        x = x.permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)
    elif order == "gaps":
        x = x.repeat_interleave(2, dim=0)[::2, :, :, 1:5]
    elif order == "expanded":
        x = x[:, :1].expand(-1, 2, -1, -1)
    else:
        A = A.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    x, A = x.requires_grad_(), A.requires_grad_()
    assert_equals_plain(kernels.propagate_frames(x, A), x, A, torch.float32)


@here
def test_a_gradient_in_another_order_of_memory(kernels: Any) -> None:
    x, A = some((1, 1), 3, 5, 4, 6)
    weights = torch.randn(18, 4, 1, 1).to(DEVICE).permute(3, 2, 1, 0)
    functions = (kernels.propagate_frames, plain(propagate))
    ours, expected = (torch.autograd.grad(function(x, A), (x, A), weights) for function in functions)
    for value, truth in zip(ours, expected, strict=True):
        torch.testing.assert_close(value, truth, rtol=1e-4, atol=1e-4)


@here
def test_autocast_rounds_features_and_graph(kernels: Any) -> None:
    x, A = some((1, 1), 3, 5, 5, 6)
    with torch.autocast(DEVICE, torch.float16):
        y = kernels.propagate_frames(x, A)
    assert_equals_plain(y, x, A, torch.float16)


@here
def test_only_what_needs_a_gradient_gets_one(kernels: Any) -> None:
    x, A = some((1, 1), 3, 5, 5, 6)
    expected = torch.autograd.grad(plain(propagate)(x, A).sum(), (x, A))
    for wanted, other, truth in ((x, A, expected[0]), (A, x, expected[1])):
        other.requires_grad_(False)
        y = kernels.propagate_frames(x, A)
        torch.testing.assert_close(torch.autograd.grad(y.sum(), wanted)[0], truth, rtol=1e-4, atol=1e-4)
        other.requires_grad_()


@here
def test_second_derivatives_are_refused(kernels: Any) -> None:
    x, A = some((1, 1), 1, 2, 2, 3)
    with pytest.raises(RuntimeError, match=r"no second derivatives .* `model\.fast\.reference\(\)`"):
        torch.autograd.grad(kernels.propagate_frames(x, A).sum(), x, create_graph=True)


@here
def test_what_the_kernels_serve(kernels: Any) -> None:
    x, A = torch.empty(2, 3, 25, 4), torch.empty(3, 25, 25)
    assert kernels.serves(x, A)
    assert kernels.serves(x.half(), A[..., :7])
    others = {
        "float64": (x.double(), A),
        "a graph of each sample": (x[:, :, :1], torch.empty(2, 1, 3, 1, 1)),
        "a graph of other joints": (x, A[:, :18, :18]),
        "many joints": (torch.empty(2, 3, 33, 4), torch.empty(3, 33, 33)),
        "no rows": (x[:0], A),
        "no partitions": (x, A[:0]),
    }
    assert [name for name, given in others.items() if kernels.serves(*given)] == []


@here
def test_a_gpu_takes_what_the_kernels_serve(kernels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[Tensor, Tensor]] = []
    monkeypatch.setattr(kernels, "propagate_frames", lambda x, A: taken.append((x, A)) or plain(propagate)(x, A))
    monkeypatch.setattr(Tensor, "is_cuda", True)
    monkeypatch.setattr(gpu, "available", lambda: True)
    x, A = some((2, 3), 3, 5, 5, 6)
    assert propagate(x, A).shape == (2, 3, 5, 18)
    assert len(taken) == 1
    assert taken.pop()[1] is A
    with fast.reference():
        propagate(x, A)
    propagate(x.double(), A.double())
    propagate(x, A.expand(2, 1, -1, -1, -1))
    monkeypatch.setattr(gpu, "available", lambda: False)
    propagate(x, A)
    assert not taken


@on_a_gpu
def test_two_runs_are_the_same_to_the_bit() -> None:
    x, A = some((30, 300), 3, 25, 25, 64)
    first, second = (gradients(propagate(x, A), x, A) for _ in range(2))
    assert "_Propagate" in first[0].grad_fn.name()
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
