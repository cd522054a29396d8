"""Relative positions for attention: learnable vectors r_ij that a query is compared with.

Sources: Shaw et al., *Self-Attention with Relative Position Representations*, NAACL 2018; Bello et al., *Attention
Augmented Convolutional Networks*, ICCV 2019, section 3.2. Each module gives r_ij of query i and key j for a length L,
as `attend` takes them; one table serves all heads. It starts normal, with the deviation `std` (published: 1).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RelativeJoints(nn.Module):
    """A free vector for every ordered pair of joints, one more for all joints with themselves.

    `key_rel` (V² - V, width) holds the off-diagonal pairs row by row; `key_rel_diagonal` (1, width).
    """

    def __init__(self, num_point: int, width: int, *, std: float = 1.0) -> None:
        super().__init__()
        self.key_rel = nn.Parameter(std * torch.randn(num_point**2 - num_point, width))
        self.key_rel_diagonal = nn.Parameter(std * torch.randn(1, width))

    def forward(self, length: int) -> Tensor:
        """(L, L, width), for L joints."""
        diagonal = self.key_rel_diagonal
        pairs = self.key_rel.unflatten(0, (length - 1, length))  # so many stand between two of the diagonal
        rows = torch.cat([pairs, diagonal.expand(length - 1, 1, -1)], dim=1)
        return torch.cat([diagonal, rows.flatten(0, 1)]).unflatten(0, (length, length))


class RelativeFrames(nn.Module):
    """A vector for every signed distance j - i: `key_rel` (2·frames - 1, width), distance 0 in the middle.

    Gives those of the distances that occur, (2L - 1, width).
    """

    def __init__(self, frames: int, width: int, *, option: str = "window_size", std: float = 1.0) -> None:
        super().__init__()
        self.frames = frames
        self.option = option
        self.key_rel = nn.Parameter(std * torch.randn(2 * frames - 1, width))

    def forward(self, length: int) -> Tensor:
        if length > self.frames:
            raise ValueError(
                f"relative: {length} frames reach the attention, its table holds distances of {self.frames}; "
                f"set model_args.{self.option} to the number of frames of the input"
            )
        middle = self.frames - 1
        return self.key_rel[middle - length + 1 : middle + length].clone()  # hooks of modules stumble over views
