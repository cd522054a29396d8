"""The last features of a model: what its classifier sees of some samples of an evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from processor.runtime.device import to_device
from processor.runtime.distributed import gather

MOST = 2000  # samples whose features are kept


class Features:
    """Inside `with`, keeps the input of the last linear layer for every n-th sample, at most `MOST` of them.

    Each `with` begins anew. All evaluations of a run are inside, though only those of the last are used: a compiled
    model does not see a hook that comes after it was compiled for evaluation. A model without such a layer, or whose
    layer sees something else than one vector a clip, gives none.
    """

    def __init__(self, model: nn.Module, samples: int) -> None:
        linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
        self.layer = linear[-1] if linear else None
        self.step = max(1, -(-samples // MOST))
        self.seen: Tensor | None = None
        self.kept: list[tuple[Tensor, Tensor]] = []

    def __enter__(self) -> Features:
        self.kept.clear()
        self.handle = self.layer.register_forward_pre_hook(self._see) if self.layer else None
        return self

    def __exit__(self, *_: object) -> None:
        if self.handle:
            self.handle.remove()

    def _see(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.seen = inputs[0]

    def keep(self, index: Tensor) -> None:
        """Keeps what was seen in the last forward pass, of the samples `index` (N,) that are due."""
        due = torch.nonzero(index % self.step == 0).flatten()
        x, self.seen = self.seen, None
        if x is not None and x.dim() == 2 and len(x) % len(index) == 0 and len(due):
            clips = x.unflatten(0, (len(index), -1))[to_device(due, x.device)].float()
            self.kept.append((index[due], clips.mean(dim=1)))  # stays on a GPU, so as not to wait

    def gathered(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Indices (n,) and features (n, D) of all processes, sorted; None where there are none."""
        arrays = [(index.numpy(), x.cpu().numpy()) for index, x in self.kept]
        parts = [part for of_process in gather(arrays) for part in of_process]
        if not parts:
            return None
        indices, features = (np.concatenate(column) for column in zip(*parts, strict=True))
        _, first = np.unique(indices, return_index=True)
        return indices[first], features[first]
