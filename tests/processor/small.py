"""A user's model that compiles in seconds."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.bn, self.dropout = nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(torch.relu(self.bn(self.linear(x))))


class Model(nn.Module):
    def __init__(self, dropout: float = 0.2, listed: bool = True) -> None:
        super().__init__()
        blocks = [Block(), Block()]
        self.blocks = nn.ModuleList(blocks) if listed else nn.ModuleDict({"a": blocks[0], "b": blocks[1]})
        self.fc = nn.Linear(6, 3)
        for block in blocks:
            block.dropout.p = dropout

    def forward(self, x: Tensor) -> Tensor:
        h = torch.cat([x.mean(dim=(2, 3, 4)), x.std(dim=(2, 3, 4))], dim=1)
        for block in self.blocks if isinstance(self.blocks, nn.ModuleList) else self.blocks.values():
            h = block(h)
        return self.fc(h)
