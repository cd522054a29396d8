"""Feeders and models that fail in the ways that users' do, at the place that the environment names: FAULT."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import torch
from torch import Tensor, nn

from feeders import feeder
from model import st_tr


def fail(fault: str) -> None:
    """Does what the name says."""
    if fault == "error":
        raise RuntimeError("a broken sample")
    if fault == "value":
        raise ValueError("operands could not be broadcast together")
    if fault == "memory":
        torch.empty(1 << 50)
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "busy":
        time.sleep(60)
    if fault == "exit":
        os._exit(3)


class Feeder(feeder.Feeder):
    """Fails at the eighth sample of the `broken` part, or is busy there for a minute."""

    def __init__(self, *args: Any, broken: bool = False, **more: Any) -> None:
        super().__init__(*args, **more)
        self.broken = broken

    def __getitem__(self, index: int) -> Any:
        if self.broken and index == 7 and os.environ.get("RANK", "1") == "1":
            fail(os.environ["FAULT"])
        return super().__getitem__(index)


class Plain(nn.Module):
    """A user's model, which works, and has nothing but a forward pass."""

    def __init__(self, num_class: int, width: int = 1) -> None:
        super().__init__()
        self.fc = nn.Linear(3, num_class)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.abs().mean(dim=(2, 3, 4)))


class Model(st_tr.Model):
    """Fails in the third forward pass."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 3:
            fail(os.environ["FAULT"])
        return super().forward(x)
