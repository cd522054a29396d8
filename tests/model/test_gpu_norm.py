"""Batch norm with its ReLU, and the gradient of a bias, by the kernels of a GPU: against torch in float64."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from kernels import DEVICE, TOLERANCES, here, on_a_gpu
from torch import Tensor, nn

from model import fast
from model.fast import gpu
from model.layers.basic import norm_relu, normalise

SIZES = [(2, 3, True), (300, 64, True), (130, 75, False), (200, 130, True)]  # rows, channels, and whether with ReLU


def a_norm(C: int) -> nn.BatchNorm1d:
    torch.manual_seed(0)
    bn = nn.BatchNorm1d(C).to(DEVICE)
    nn.init.uniform_(bn.weight, 0.5, 2)
    nn.init.normal_(bn.bias)
    return bn


def outcome(bn: nn.BatchNorm1d, x: Tensor, call: Callable[[Tensor, nn.BatchNorm1d], Tensor]) -> list[Tensor]:
    """The result, the gradients of x, weight and bias, and the running statistics."""
    x = x.detach().requires_grad_()
    y = call(x, bn)
    y.backward(torch.linspace(-1, 1, y.numel(), device=x.device).view(y.shape).to(y.dtype))
    assert x.grad is not None
    assert bn.weight.grad is not None
    assert bn.bias.grad is not None
    assert bn.num_batches_tracked == 1
    return [y.detach(), x.grad, bn.weight.grad, bn.bias.grad, bn.running_mean, bn.running_var]


def assert_equal(ours: list[Tensor], truths: list[Tensor], tolerance: float) -> None:
    for number, (value, truth) in enumerate(zip(ours, truths, strict=True)):
        assert (value.double() - truth.double()).norm() <= tolerance * truth.double().norm(), number


@here
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize(("N", "C", "relu"), SIZES)
def test_training_is_that_of_torch(N: int, C: int, relu: bool, dtype: torch.dtype) -> None:
    from model.fast.gpu.norm import normalise_rows

    bn = a_norm(C)
    x = (torch.randn(N, C) + 5 * torch.randn(C)).to(DEVICE, dtype)  # means far from zero, as after a convolution
    exact = deepcopy(bn).double()
    truths = outcome(exact, x.double(), lambda x, bn: bn(x).relu() if relu else bn(x))
    tolerance = max(TOLERANCES[dtype], 1e-3 if N == 2 else 0)  # of two rows, the variance is a difference
    assert_equal(outcome(bn, x, lambda x, bn: normalise_rows(x, bn, relu=relu)), truths, tolerance)
    exact.eval()
    bn.eval()
    with torch.no_grad():
        assert_equal(
            [normalise_rows(x, bn, relu=relu)], [exact(x.double()).relu() if relu else exact(x.double())], 5e-3
        )


@here
def test_the_gradient_of_a_bias_is_a_sum_over_rows() -> None:
    from model.fast.gpu.norm import with_bias_gradient

    y, bias = torch.randn(3, 100, 70, device=DEVICE, requires_grad=True), torch.zeros(70, device=DEVICE)
    weights = torch.randn(3, 100, 70, device=DEVICE)
    with_bias_gradient(y, bias.requires_grad_()).backward(weights)
    torch.testing.assert_close(bias.grad, weights.sum(dim=(0, 1)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(y.grad, weights)


@here
def test_second_derivatives_are_refused() -> None:
    from model.fast.gpu.norm import normalise_rows

    x = torch.randn(8, 3, device=DEVICE, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"model\.fast\.reference\(\)"):
        torch.autograd.grad(normalise_rows(x, a_norm(3), relu=True).sum(), x, create_graph=True)


@here
@pytest.mark.parametrize("features", ["of channels", "of joints"])
@pytest.mark.parametrize("transposed", [True, False])
def test_a_gpu_takes_the_kernel_in_any_order_of_memory(
    monkeypatch: pytest.MonkeyPatch, features: str, transposed: bool
) -> None:
    x = torch.randn(2, 6, 5, 4, device=DEVICE)
    if transposed:
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    bn = a_norm(4 if features == "of channels" else 20)
    for function in (norm_relu, normalise):
        other = deepcopy(bn)
        with fast.reference():
            expected = function(x, bn)
        monkeypatch.setattr(gpu, "available", lambda: True)
        monkeypatch.setattr(Tensor, "is_cuda", True)
        called: list[bool] = []
        monkeypatch.setattr("model.fast.gpu.norm._Norm.apply", _counted(called))
        y = function(x, other)
        monkeypatch.undo()
        assert called == [True]
        torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(other.running_var, bn.running_var)


def _counted(called: list[bool]) -> Callable[..., Tensor]:
    from model.fast.gpu.norm import _Norm

    apply = _Norm.apply

    def call(*args: object) -> Tensor:
        called.append(True)
        return apply(*args)

    return call


@here
def test_what_the_kernel_does_not_serve() -> None:
    from model.fast.gpu.norm import serves

    x, bn = torch.randn(4, 3, device=DEVICE), a_norm(3)
    assert serves(x, bn)
    assert not serves(x[:1], bn)
    assert not serves(x.double(), bn)
    assert not serves(x, nn.BatchNorm1d(3, affine=False))
    assert not serves(x, nn.BatchNorm1d(3, momentum=None))
    assert not serves(x, nn.BatchNorm1d(3, track_running_stats=False))
    assert not serves(x, type("Own", (nn.BatchNorm1d,), {})(3))
    assert not serves(x, bn.eval())  # gradients through fixed statistics are torch's
    with torch.no_grad():
        assert serves(x, bn)


@on_a_gpu
def test_two_runs_are_the_same_to_the_bit() -> None:
    from model.fast.gpu.norm import normalise_rows

    x = torch.randn(100_000, 64, device=DEVICE)
    runs = [outcome(a_norm(64), x, lambda x, bn: normalise_rows(x, bn, relu=True)) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))
