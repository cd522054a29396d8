"""`layers.gcn.propagate` by the kernel of a GPU."""

from __future__ import annotations

from torch import Tensor

from model.fast import gpu
from model.fast.faster import faster, plain
from model.layers.gcn import propagate


@faster(propagate)
def propagate_by_kernel(x: Tensor, A: Tensor) -> Tensor:
    """On a GPU, where the graph is that of all samples."""
    if x.is_cuda and gpu.available():
        from model.fast.gpu.propagate import propagate_frames, serves

        if serves(x, A):
            return propagate_frames(x, A)
    return plain(propagate)(x, A)
