"""What is added to the logits of an attention: modules `term(q)`, queries (..., L, d) -> (..., L, L).

Sources: Shaw et al., *Self-Attention with Relative Position Representations*, NAACL 2018, and Bello et al., *Attention
Augmented Convolutional Networks*, ICCV 2019, section 3.2, for relative positions: the query i is compared with a
learnable vector r_ij. One table serves all heads. It starts normal with the standard deviation `std` (published: 1).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.replaceable import replaceable


class RelativeJoints(nn.Module):
    """q_i·r_ij, with a vector for every ordered pair of joints, and one more for all joints with themselves.

    `key_rel` (V² - V, width) holds the pairs of different joints row by row; `key_rel_diagonal` (1, width).
    """

    def __init__(self, num_point: int, width: int, *, std: float = 1.0) -> None:
        super().__init__()
        self.num_point = num_point
        self.key_rel = nn.Parameter(std * torch.randn(num_point**2 - num_point, width))
        self.key_rel_diagonal = nn.Parameter(std * torch.randn(1, width))

    def table(self) -> Tensor:
        """r (V, V, width)."""
        V, diagonal = self.num_point, self.key_rel_diagonal
        pairs = self.key_rel.unflatten(0, (V - 1, V))  # between two entries of the diagonal lie V pairs
        rows = torch.cat([pairs, diagonal.expand(V - 1, 1, -1)], dim=1)
        return torch.cat([diagonal, rows.flatten(0, 1)]).unflatten(0, (V, V))

    def forward(self, q: Tensor) -> Tensor:
        return torch.einsum("...id,ijd->...ij", q, self.table())


@replaceable
def by_distance(q: Tensor, r: Tensor) -> Tensor:
    """q_i·r_(j - i): (..., L, d), (2L - 1, d) with the distance 0 in the middle -> (..., L, L)."""
    L = q.shape[-2]  # len() of a tensor would be a fixed number in an exported program
    i = torch.arange(L, device=q.device)
    return torch.einsum("...id,ijd->...ij", q, r[i[None, :] - i[:, None] + L - 1])


class RelativeFrames(nn.Module):
    """q_i·r_(j - i), with a vector for every signed distance of frames.

    `key_rel` (2·frames - 1, width) has the distance 0 in the middle. Shorter input takes the rows that it reaches.

    Raises:
        ValueError: more frames than the table reaches; the message names the option that sets its size.
    """

    def __init__(self, frames: int, width: int, *, option: str = "window_size", std: float = 1.0) -> None:
        super().__init__()
        self.frames, self.option = frames, option
        self.key_rel = nn.Parameter(std * torch.randn(2 * frames - 1, width))

    def forward(self, q: Tensor) -> Tensor:
        L = q.shape[-2]
        if self.frames < L:
            raise ValueError(
                f"relative: this attention gets {L} frames (after temporal strides), its table is for {self.frames}; "
                f"set model_args.{self.option} to the number of frames of the input"
            )
        return by_distance(q, self.key_rel[self.frames - L : self.frames + L - 1])


class MaskedAdjacency(nn.Module):
    """The adjacency (V, V), summed over its partitions, times a learnable mask that starts at one.

    Args:
        A: (K, V, V).
        learnable: the adjacency is learnt, too.
    """

    adjacency: Tensor

    def __init__(self, A: Tensor, *, learnable: bool = False) -> None:
        super().__init__()
        if learnable:
            self.adjacency = nn.Parameter(A.sum(dim=0))
        else:
            self.register_buffer("adjacency", A.sum(dim=0))
        self.mask = nn.Parameter(torch.ones(A.shape[1:]))

    def forward(self, q: Tensor) -> Tensor:
        return self.adjacency * self.mask
