"""Our linear layer is torch's: values, gradients of both orders, any order of memory."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from model.layers.attention import _Products
from model.layers.linear import Linear, linear


def gradients(y: Tensor, *inputs: Tensor) -> list[Tensor]:
    """Of first and second order."""
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    first = torch.autograd.grad((y * weights).sum(), inputs, create_graph=True)
    total = sum(x.square().sum() for x in first)
    return [*first, *torch.autograd.grad(total, inputs, allow_unused=True)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("biased", [False, True])
def test_linear(order: tuple[int, ...], biased: bool) -> None:
    torch.manual_seed(0)
    shape = [(2, 5, 3)[axis] for axis in order]
    x = torch.randn(*shape, 7).permute(*(order.index(axis) for axis in range(3)), 3).requires_grad_()
    weight, bias = torch.randn(4, 7, requires_grad=True), torch.randn(4, requires_grad=True)
    inputs = (x, weight, bias) if biased else (x, weight)
    y, expected = linear(*inputs), F.linear(*inputs)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    assert y.permute(*order, 3).is_contiguous()
    pairs = zip(gradients(y, *inputs), gradients(expected, *inputs), strict=True)
    for found, own in pairs:
        assert (found is None) == (own is None)
        if own is not None:
            torch.testing.assert_close(found, own, rtol=1e-4, atol=1e-4)


def test_other_precisions() -> None:
    layer, x = Linear(5, 3), torch.randn(2, 4, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    torch.testing.assert_close(layer.double()(x.double()), F.linear(x.double(), layer.weight, layer.bias))
    assert layer.float()(torch.empty(0, 5)).shape == (0, 3)


def test_gradients_of_products() -> None:
    q, k = (torch.randn(2, 3, L, 4, dtype=torch.float64, requires_grad=True) for L in (5, 6))
    assert torch.autograd.gradcheck(_Products.apply, (q, k))
    assert torch.autograd.gradgradcheck(_Products.apply, (q, k))
