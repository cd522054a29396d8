"""Stochastic depth, a regulariser of training."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Stochastic depth: in training a row of the first axis is zero with probability `p`, else divided by 1 - p.

    Source: Huang et al., *Deep Networks with Stochastic Depth*, ECCV 2016, which scales in evaluation instead. Behind
    the layers of a block it skips them, so that the residual remains, for one person of one sample at a time.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device) >= self.p
        return x * (kept / (1 - self.p)).to(x.dtype)


def drop_paths(p: float, blocks: int) -> list[nn.Module]:
    """`DropPath` for each of successive blocks, rising linearly to `p` at the last (Huang et al., equation 4)."""
    return [DropPath(p * number / blocks) if p else nn.Identity() for number in range(1, blocks + 1)]
