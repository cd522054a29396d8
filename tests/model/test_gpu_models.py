"""Whole models in training, by all kernels of a GPU at once, against the plain functions in float64."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from kernels import DEVICE, here
from torch import Tensor, nn

from model import fast, st_tr
from model.fast import gpu

SMALL = {"num_class": 4, "channels": [4, 8, 16], "Nh": 2, "window_size": 6, "num_point": 15, "dropout": 0.0}
MODELS: dict[str, Callable[[], nn.Module]] = {
    "s-tr": lambda: st_tr.Model(**SMALL),
    "t-tr": lambda: st_tr.Model(**SMALL, attention=False, tcn_attention=True),
    "s-tr, relative": lambda: st_tr.Model(**SMALL, relative=True, adjacency=True),
    "adaptive": lambda: st_tr.Model(**SMALL, agcn=True),
}


def outcome(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Logits, gradients and statistics."""
    torch.manual_seed(1)  # of the dropped keys
    y = model(x)
    y.logsumexp(dim=1).sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {"logits": y.detach(), **gradients, **{name: b for name, b in model.named_buffers() if "running" in name}}


@here
@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_training_by_kernels_is_that_of_the_plain_functions(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().to(DEVICE)
    x = torch.randn(2, 3, 6, 15, 2, device=DEVICE)
    with fast.reference():
        truth = outcome(deepcopy(model).double(), x.double())
    monkeypatch.setattr(gpu, "available", lambda: True)
    monkeypatch.setattr(Tensor, "is_cuda", True)
    monkeypatch.setattr(Tensor, "is_cpu", False)
    ours = outcome(model, x)
    typical = torch.stack([value.square().mean().sqrt() for value in truth.values()]).median()
    for key, value in truth.items():
        scale = value.norm() + 0.1 * typical * value.numel() ** 0.5
        assert (ours[key] - value).norm() <= 1e-3 * scale, key
