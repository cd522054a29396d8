"""The convolution over frames as products of frequencies: torch's convolution, its gradients and their gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from model import fast
from model.fast import convolution
from model.layers.tcn import FrameConv, convolve

SIZES = [  # B, T, V, in, out, taps, stride
    (2, 40, 3, 5, 4, 9, 1),  # three tiles, the last with half of its frames
    (3, 33, 2, 4, 6, 9, 2),
    (2, 64, 2, 3, 3, 7, 1),
    (2, 41, 2, 3, 2, 7, 3),
    (1, 1, 4, 2, 3, 9, 1),
    (1, 2, 1, 2, 3, 9, 4),  # phases without a frame
    (2, 50, 2, 3, 2, 1, 1),
    (2, 50, 2, 3, 2, 1, 2),  # a phase without a tap
]


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(convolution, "_pays", lambda *_: True)
    monkeypatch.setattr(convolution, "CHUNK", 1000)  # a sample or two


def inputs(B: int, T: int, V: int, C: int, out: int, taps: int, stride: int) -> tuple[Tensor, Tensor, Tensor, int]:
    layer = FrameConv(C, out, taps, stride).double()
    x = torch.randn(B, T, V, C, dtype=torch.float64, requires_grad=True)
    return x, layer.weight, layer.bias, stride


def torchs(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    y = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, (stride, 1), (weight.shape[2] // 2, 0))
    return y.permute(0, 2, 3, 1)


def gradients(y: Tensor, wanted: list[Tensor], *, second: bool = False) -> list[Tensor]:
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    first = torch.autograd.grad((y * weights + y**2).sum(), wanted, create_graph=second)
    if not second:
        return [*first]
    return [*torch.autograd.grad(sum(g.square().sum() for g in first), wanted)]


def assert_equal(ours: list[Tensor], truths: list[Tensor], tolerance: float = 1e-12) -> None:
    for value, truth in zip(ours, truths, strict=True):
        assert value.shape == truth.shape
        torch.testing.assert_close(value, truth, rtol=tolerance, atol=tolerance * float(truth.detach().abs().max() + 1))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_the_convolution(size: tuple[int, int, int, int, int, int, int]) -> None:
    x, weight, bias, stride = inputs(*size)
    y, truth = convolve(x, weight, bias, stride), torchs(x, weight, bias, stride)
    assert y.grad_fn.name() == "_ConvolutionBackward"
    assert_equal([y], [truth])
    assert_equal(gradients(y, [x, weight, bias]), gradients(truth, [x, weight, bias]))
    y, truth = convolve(x, weight, bias, stride), torchs(x, weight, bias, stride)
    assert_equal(gradients(y, [x, weight, bias], second=True), gradients(truth, [x, weight, bias], second=True), 1e-9)


def test_inputs_in_another_order_of_memory() -> None:
    x, weight, bias, stride = inputs(*SIZES[0])
    for other in (x.transpose(1, 2).contiguous().transpose(1, 2), x.flip(0), x[:, :, :1].expand(-1, -1, 3, -1)):
        y, truth = convolve(other, weight, bias, stride), torchs(other, weight, bias, stride)
        assert_equal([y, *gradients(y, [other])], [truth, *gradients(truth, [other])])


def test_only_what_needs_a_gradient_gets_one() -> None:
    x, weight, bias, stride = inputs(*SIZES[1])
    for wanted in ([x], [weight], [bias], [weight, bias]):
        given = [t if any(t is w for w in wanted) else t.detach() for t in (x, weight, bias)]
        truth = gradients(torchs(*given, stride), wanted)
        assert_equal(gradients(convolve(*given, stride), wanted), truth)
    assert_equal([convolve(x, weight, None, stride)], [torchs(x, weight, None, stride)])
    with torch.no_grad():
        assert not convolve(x, weight, bias, stride).requires_grad


def test_float32_is_as_exact_as_the_sum_of_the_convolution() -> None:
    x, weight, bias, stride = inputs(2, 64, 5, 128, 128, 9, 1)
    truth = torchs(x, weight, bias, stride)
    single = [tensor.float() for tensor in (x, weight, bias)]
    error = (convolve(*single, stride) - truth).abs().max()
    assert error < 2 * (torchs(*single, stride) - truth).abs().max()
    assert error < 2e-6 * truth.abs().max()


def test_small_layers_other_types_and_references_take_the_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    x, weight, bias, stride = inputs(4, 150, 25, 256, 256, 9, 1)
    assert convolve(x[:, :32], weight, bias, stride).grad_fn.name() == "_ConvolutionBackward"
    with fast.reference():
        assert "_Convolution" not in convolve(x[:, :1], weight, bias, stride).grad_fn.name()
    with torch.autocast("cpu", torch.bfloat16):
        assert convolve(x[:1, :32].float(), weight.float(), bias.float(), stride).dtype == torch.bfloat16
    assert convolve(x[:0], weight, bias, stride).shape == (0, 150, 25, 256)
    for pays, *size in (
        (True, 8, 300, 25, 128, 128, 9, 1), (True, 8, 300, 25, 256, 256, 9, 2), (False, 8, 300, 25, 16, 16, 9, 1),
        (False, 8, 4, 25, 64, 64, 9, 1), (False, 8, 300, 25, 256, 256, 1, 1), (False, 8, 300, 25, 256, 256, 21, 1),
        (False, 1, 16, 1, 256, 256, 9, 1),  # too few frames for the transform of the weights
    ):  # fmt: skip
        assert convolution._pays(*size, 4) is pays, size
