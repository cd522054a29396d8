"""Dropout keeps the share that it should, scales it, and gives backward the same mask."""

from __future__ import annotations

import pytest
import torch

from model.layers.norm import Dropout


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_what_is_kept_is_scaled_and_so_is_its_gradient(p: float, dtype: torch.dtype) -> None:
    x = torch.rand(101, 103, dtype=dtype).add_(1).requires_grad_()  # no multiple of four
    y = Dropout(p)(x)
    kept = y != 0
    assert abs(kept.double().mean().item() - (1 - p)) < 0.02
    torch.testing.assert_close(
        y[kept], (x / (1 - p)).detach()[kept], rtol=1e-2 if dtype == torch.bfloat16 else 1e-4, atol=0
    )
    y.sum().backward()
    torch.testing.assert_close(x.grad, kept / (1 - p), rtol=1e-2, atol=0, check_dtype=False)


def test_numbers_are_dropped_for_themselves() -> None:
    kept = Dropout(0.5)(torch.ones(64, 4096)) != 0
    for other in (kept[:, 1:] == kept[:, :-1], kept[1:] == kept[:-1], kept[:, 4:] == kept[:, :-4]):
        assert abs(other.double().mean().item() - 0.5) < 0.01


def test_it_draws_anew_and_the_seed_decides() -> None:
    unit, x = Dropout(0.5), torch.ones(1000)
    first, second = unit(x), unit(x)
    torch.manual_seed(0)
    assert torch.equal(unit(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    "x",
    [torch.ones(30, 40).T, torch.ones(30, 40)[:, ::2], torch.ones(30, 1).expand(30, 40), torch.ones(0, 3)],
    ids=["transposed", "gaps", "expanded", "empty"],
)
def test_any_memory_layout(x: torch.Tensor) -> None:
    y = Dropout(0.5)(x)
    assert y.shape == x.shape
    assert not x.numel() or 0.4 < (y != 0).double().mean() < 0.6


def test_evaluation_and_no_dropout_leave_everything() -> None:
    x = torch.randn(10)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()
