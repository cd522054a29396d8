"""Attention on a GPU has the values and the gradients of the plain functions."""

from __future__ import annotations

import pytest
import torch
from kernels import DEVICE, TOLERANCES, here, on_a_gpu
from torch import Tensor

from model import fast
from model.fast import gpu
from model.layers.attention import attend

CASES = {  # samples, rows, heads, tokens, channels of a key and of a value; the shapes of `keep` and of a bias
    "one token": ((1, 2, 2, 1, 4, 4), (1, 2, 2), None),
    "two tokens": ((1, 2, 2, 2, 32, 32), None, None),
    "25 tokens": ((2, 1, 3, 25, 4, 16), (2, 1, 3), None),
    "25 tokens, a bias of each": ((1, 2, 2, 25, 8, 8), (1, 2, 2), (1, 2, 2, 25, 25)),
    "38 tokens, a bias of all": ((2, 1, 2, 38, 8, 32), (2, 1, 1), (38, 38)),
    "64 tokens, a bias of all": ((2, 1, 1, 64, 5, 3), None, (64, 64)),
    "65 tokens": ((1, 1, 2, 65, 5, 3), (1, 1, 2), None),
    "75 tokens": ((1, 1, 1, 75, 8, 32), (1, 1, 1), None),
    "128 tokens": ((1, 1, 1, 128, 20, 17), None, None),
    "150 tokens": ((2, 1, 1, 150, 2, 8), (2, 1, 1), None),
}


def parts(sizes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Queries, keys and values in the models' order of memory: (B, R, L, H * (2d + dv)) of all heads."""
    B, R, H, L, d, dv = sizes
    torch.manual_seed(0)
    qkv = torch.randn(B, R, L, H * (2 * d + dv)).to(DEVICE, dtype).split([H * d, H * d, H * dv], dim=-1)
    return [x.unflatten(-1, (H, -1)).transpose(2, 3).requires_grad_() for x in qkv]


def kept(shape: tuple[int, ...], L: int) -> Tensor:
    """Half of the keys; of several rows and heads none for the first, and none of a whole block for the last."""
    keep = torch.rand(*shape, 1, L) > 0.5
    if len(keep.flatten(0, 2)) > 1:
        keep[0, 0, 0] = False
        keep[-1, -1, -1, :, : 64 if L > 64 else 0] = False
    return keep.to(DEVICE)


def outcome(y: Tensor, *inputs: Tensor) -> list[Tensor]:
    """The result and the gradients of the inputs."""
    weights = torch.linspace(-1, 1, y.numel(), device=DEVICE).view(y.shape).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, inputs, weights)]


def plain(q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """The plain function, in float32."""
    with fast.reference():
        return attend(q.float(), k.float(), v.float(), [] if bias is None else [lambda _: bias.float()], keep)


def assert_near(ours: list[Tensor], theirs: list[Tensor], tolerance: float) -> None:
    for number, (x, y) in enumerate(zip(ours, theirs, strict=True)):
        assert (x.float() - y.float()).norm() <= tolerance * y.float().norm(), number


@here
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case: str, dtype: torch.dtype) -> None:
    from model.fast.gpu.attention import attend_fused, serves

    sizes, of_keep, of_bias = CASES[case]
    inputs = parts(sizes, dtype)
    keep = None if of_keep is None else kept(of_keep, sizes[3])
    if of_bias is not None:
        inputs.append(torch.randn(of_bias).to(DEVICE, dtype).requires_grad_())
    q, k, v, *bias = inputs
    assert serves(q, v, biased=bool(bias))
    y = attend_fused(q, k, v, keep, *bias)
    assert y.transpose(2, 3).is_contiguous()  # heads of a token side by side
    assert_near(outcome(y, *inputs), outcome(plain(q, k, v, keep, *bias), *inputs), TOLERANCES[dtype])


@here
@pytest.mark.parametrize("L", [25, 75])
def test_any_order_of_memory(L: int) -> None:
    from model.fast.gpu.attention import attend_fused

    q, k, v = (x.detach().mT.contiguous().mT.requires_grad_() for x in parts((1, 1, 1 if L > 64 else 2, L, 3, 3)))
    ours, theirs = (
        torch.autograd.grad(function(q, k, v).sum(), [q, k, v]) for function in (attend_fused, plain)
    )  # of a sum, so that the gradient of the result is one number in memory
    assert_near(list(ours), list(theirs), 1e-5)


@here
@pytest.mark.parametrize("L", [25, 75])
def test_large_logits(L: int) -> None:
    from model.fast.gpu.attention import attend_fused

    q, k, v = parts((1, 1, 1, L, 4, 8))
    large = [(6 * x).detach().requires_grad_() for x in (q, k)]  # exp(logit) has no float32
    assert (large[0] @ large[1].mT).amax() > 100
    keep = kept((1, 1, 1), L)
    ours, theirs = (outcome(function(*large, v, keep), *large, v) for function in (attend_fused, plain))
    assert_near(ours, theirs, 1e-4)  # numbers of hundreds leave that much of a logit


@here
@pytest.mark.parametrize("L", [25, 75])
def test_what_is_no_number_is_seen(L: int) -> None:
    from model.fast.gpu.attention import attend_fused

    q, k, v = parts((1, 1, 1, L, 4, 8))
    with torch.no_grad():
        q[0, 0, 0, -1, 0] = torch.nan
        y = attend_fused(q, k, v)[0, 0, 0]
    assert y[-1].isnan().all()
    assert not y[:-1].isnan().any()


@on_a_gpu
@pytest.mark.parametrize("L", [25, 65])
def test_two_runs_are_the_same_to_the_bit(L: int) -> None:
    from model.fast.gpu.attention import attend_fused

    q, k, v = parts((8, 50, 8, L, 4, 8))
    first, second = (outcome(attend_fused(q, k, v), q, k, v) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))


@here
@pytest.mark.parametrize("L", [25, 65])
def test_second_derivatives_are_refused(L: int) -> None:
    from model.fast.gpu.attention import attend_fused

    q, k, v = parts((1, 1, 1, L, 2, 2))
    with pytest.raises(RuntimeError, match=r"model\.fast\.reference\(\)"):
        torch.autograd.grad(attend_fused(q, k, v).sum(), q, create_graph=True)


@here
@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("L", [64, 65, 512, 513])
def test_a_gpu_takes_what_the_kernels_serve(monkeypatch: pytest.MonkeyPatch, L: int, count: int) -> None:
    taken: list[tuple[Tensor | None, ...]] = []

    def note(q: Tensor, k: Tensor, v: Tensor, *others: Tensor | None) -> Tensor:
        taken.append(others)
        return v

    monkeypatch.setattr("model.fast.gpu.attention.attend_fused", note)
    monkeypatch.setattr(Tensor, "is_cuda", True)
    monkeypatch.setattr(gpu, "available", lambda: True)
    q, k, v = parts((1, 1, 1, L, 2, 2))
    terms, keep = [lambda q: q @ q.mT, lambda q: torch.ones(L, L, device=DEVICE)][:count], kept((1, 1, 1), L)
    y = attend(q, k, v, terms, keep)
    assert (y is v) == bool(taken) == ((64 if count else 512) >= L)
    if taken:
        assert taken[0][0] is keep
        bias = taken[0][1]
        assert bias is None if not count else torch.equal(bias, sum(term(q) for term in terms))
    taken.clear()
    with fast.reference():
        attend(q, k, v, terms, keep)
    attend(q.double(), k.double(), v.double(), [], keep)
    assert not taken


@here
def test_what_the_kernels_do_not_serve() -> None:
    from model.fast.gpu.attention import serves

    def of(L: int, d: int, dv: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        return torch.empty(1, 1, 1, L, d, dtype=dtype), torch.empty(1, 1, 1, L, dv, dtype=dtype)

    assert serves(*of(64, 64, 64), biased=True)
    assert serves(*of(512, 32, 32), biased=False)
    refused = [of(64, 65, 8), of(64, 8, 65), of(65, 33, 8), of(65, 8, 33), of(513, 8, 8), of(25, 8, 8, torch.float64)]
    assert not any(serves(*x, biased=False) for x in refused)
    assert not serves(*of(65, 8, 8), biased=True)
    q, v = of(25, 8, 8)
    assert not serves(q[0], v[0], biased=False)
    assert not serves(q, v.bfloat16(), biased=False)
