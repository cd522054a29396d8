"""All kernels compile for GPUs without one: what they would be launched with is caught, and given to the compiler."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernels import INTERPRETED
from torch import Tensor

triton = pytest.importorskip("triton", reason="no Triton")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing")]

TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.uint8: "*u8", torch.int64: "*i64"}


@pytest.fixture(params=[80, 90])
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the kernels that were compiled for the GPUs of this compute capability."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.runtime.jit import JITFunction

    names: set[str] = set()

    def launch(kernel: Any, *args: Any, **options: Any) -> None:
        given = {**dict(zip(kernel.arg_names, args, strict=False)), **options}
        constants = {p.name: given[p.name] for p in kernel.params if p.is_constexpr}
        types = {p.name: "constexpr" if p.is_constexpr else _type(given[p.name]) for p in kernel.params}
        source = ASTSource(fn=kernel, signature=types, constexprs=constants)
        warps = {"num_warps": options.get("num_warps", 4)}
        assert triton.compile(source, target=GPUTarget("cuda", request.param, 32), options=warps).asm["cubin"]
        names.add(kernel.fn.__name__)

    monkeypatch.setattr(JITFunction, "run", launch)
    return names


def _type(value: Any) -> str:
    if isinstance(value, Tensor):
        return TYPES[value.dtype]
    return "fp32" if isinstance(value, float) else "i32"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_kernels_compile(compiled: set[str], dtype: torch.dtype) -> None:
    from model.fast.gpu.attention import attend_fused
    from model.fast.gpu.norm import normalise_rows, with_bias_gradient
    from model.fast.gpu.propagate import propagate_frames

    for L, keep in ((25, torch.ones(1, 2, 2, 1, 25, dtype=torch.bool)), (75, None)):
        q, k, v = torch.randn(3, 1, 2, 2, L, 8, dtype=dtype, requires_grad=True)
        attend_fused(q, k, v, keep, torch.randn(L, L) if L == 25 else None).sum().backward()
    x = torch.randn(128, 64, dtype=dtype, requires_grad=True)
    normalise_rows(x, torch.nn.BatchNorm1d(64), relu=True).sum().backward()
    with_bias_gradient(x, torch.zeros(64, requires_grad=True)).sum().backward()
    frames = torch.randn(1, 4, 25, 64, dtype=dtype, requires_grad=True)
    propagate_frames(frames, torch.randn(3, 25, 25, requires_grad=True)).sum().backward()
    assert compiled == {
        *("_forward", "_backward", "_forward_of_block", "_backward_of_block", "_backward_of_graph", "_collect"),
        *("_settle", "_apply", "_collect_gradients", "_add_up", "_apply_gradients"),
    }
