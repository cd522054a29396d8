"""Work in pieces gives the values and the gradients of the whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from model.layers import pieces
from model.layers.attention import Attention
from model.layers.gcn import AdaptiveGCN, GraphConv
from model.layers.relative import RelativeFrames


@pytest.fixture(autouse=True)
def _no_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "WHOLE", 0)  # these inputs are small


UNITS: dict[str, Callable[[], torch.nn.Module]] = {
    "attention": lambda: Attention(6, 6, heads=2, key_width=2, value_width=3, scale=0.5, drop_connect=True),
    "relative": lambda: Attention(
        6, 6, heads=2, key_width=2, value_width=3, scale=0.5, relative=RelativeFrames(5, 2), drop_connect=True
    ),
    "graph": lambda: GraphConv(6, 4, A=torch.rand(3, 5, 5), mask_learning=True),
    "adaptive": lambda: AdaptiveGCN(6, 8, A=torch.rand(3, 5, 5)),
}


def run(unit: torch.nn.Module, x: Tensor) -> list[Tensor]:
    """The result, and the gradients of the input and of all parameters."""
    torch.manual_seed(1)  # of the dropped keys
    x = x.detach().clone().requires_grad_()
    unit.zero_grad()
    y = unit(x)
    (y * torch.linspace(0, 1, y.numel(), dtype=y.dtype).view(y.shape)).sum().backward()
    assert x.grad is not None
    return [y.detach(), x.grad, *(p.grad for p in unit.parameters() if p.grad is not None)]


@pytest.mark.parametrize("size", [1, 400, 2000])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", UNITS)
def test_pieces_equal_the_whole(monkeypatch: pytest.MonkeyPatch, name: str, transposed: bool, size: int) -> None:
    torch.manual_seed(0)
    unit = UNITS[name]().double()
    for parameter in unit.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5)
    x = torch.randn(3, 7, 5, 6, dtype=torch.float64)
    if transposed:
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(pieces, "WHOLE", 2**22)
        whole = run(unit, x)
    monkeypatch.setattr(pieces, "PIECE", size)
    torch.testing.assert_close(run(unit, x), whole)


def test_rows_are_cut_inside_samples_or_between_them() -> None:
    x = torch.empty(3, 7, 2)
    for size, count in ((1, 21), (3, 9), (7, 3), (14, 2), (100, 1)):
        parts = [x[piece] for piece in pieces._pieces(x, size)]
        assert len(parts) == count
        assert all(part.shape[0] * part.shape[1] <= size for part in parts)
        assert sum(part.shape[0] * part.shape[1] for part in parts) == 21


def test_results_lie_in_memory_as_the_input_does() -> None:
    unit = GraphConv(6, 4, A=torch.rand(3, 5, 5))
    x = torch.randn(2, 5, 7, 6).transpose(1, 2)
    assert unit(x).transpose(1, 2).is_contiguous()


def test_autocast_holds_in_backward_too() -> None:
    torch.manual_seed(0)
    unit = UNITS["attention"]().eval()
    x = torch.randn(2, 3, 5, 6)
    exact = run(unit, x)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = run(unit, x)
    assert rounded[0].dtype == torch.bfloat16
    for value, expected in zip(rounded[1:], exact[1:], strict=True):
        assert value.dtype == torch.float32
        assert (value - expected).norm() < 0.05 * expected.norm() + 1e-3


def test_only_what_needs_a_gradient_gets_one() -> None:
    unit = UNITS["graph"]()
    unit.linear.weight.requires_grad_(False)
    unit(torch.randn(2, 3, 5, 6)).sum().backward()
    assert unit.linear.weight.grad is None
    assert unit.linear.bias.grad is not None


def test_a_hook_sees_the_gradient_of_a_weight_once_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 1)
    for name, weight in (("attention", "qkv.weight"), ("relative", "relative.key_rel"), ("graph", "mask")):
        unit, seen = UNITS[name](), []
        unit.get_parameter(weight).register_hook(seen.append)
        unit(torch.randn(3, 7, 5, 6)).sum().backward()
        assert len(seen) == 1
        torch.testing.assert_close(seen[0], unit.get_parameter(weight).grad)


def test_parameters_given_from_outside_count() -> None:
    unit, other = UNITS["relative"]().eval(), UNITS["relative"]().eval()
    x, given = torch.randn(3, 7, 5, 6), {k: v.detach().clone().requires_grad_() for k, v in other.named_parameters()}
    y = torch.func.functional_call(unit, given, (x,))
    torch.testing.assert_close(y, other(x))
    y.sum().backward()
    assert all(v.grad is not None for v in given.values())
    assert all(p.grad is None for p in unit.parameters())


def test_second_derivatives_are_refused() -> None:
    unit = UNITS["attention"]().eval()
    x = torch.randn(2, 3, 5, 6, requires_grad=True)
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(unit(x).sum(), x, create_graph=True)


def test_what_is_small_goes_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    unit, x = UNITS["attention"]().eval(), torch.randn(2, 3, 5, 6, requires_grad=True)
    expected = unit(x)
    monkeypatch.setattr(pieces, "WHOLE", 2**22)
    y = unit(x)
    torch.testing.assert_close(y, expected)
    assert torch.autograd.grad(y.sum(), x, create_graph=True)[0].requires_grad
