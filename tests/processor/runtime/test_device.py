"""Steps and evaluations do not wait for the device, and copies to it are right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from model.st_tr import Model
from processor.engine.data import Group
from processor.engine.evaluate import score
from processor.engine.features import Features
from processor.engine.optimizer import build_optimizer
from processor.engine.train import Losses, step
from processor.runtime.device import gradient_scaler, to_device
from processor.state.checkpoint import State

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
READING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique_dim", "_unique2"}


class Unread(TorchDispatchMode):
    """Raises where a value of a tensor is read, for which a GPU would be waited for.

    Args:
        but: an operation that is on indices of samples, which are on the CPU.
    """

    def __init__(self, but: str = "") -> None:
        super().__init__()
        self.but = but

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in READING - {self.but}:
            raise RuntimeError(f"{name} waits for the device")
        return func(*args, **(kwargs or {}))


@contextmanager
def _no_wait_on_a_gpu() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def unread(device: str, but: str = "") -> AbstractContextManager[object]:
    return Unread(but) if device == "cpu" else _no_wait_on_a_gpu()


def batches(number: int, device: str) -> list[tuple[Tensor, Tensor, Tensor]]:
    made = [(torch.randn(2, 3, 8, 25, 2), torch.tensor([0, 1]), torch.arange(2)) for _ in range(number)]
    return [(x.pin_memory(), label.pin_memory(), index) for x, label, index in made] if device == "cuda" else made


@pytest.mark.parametrize("device", DEVICES)
def test_what_reads_a_value_is_seen_on_a_gpu(device: str) -> None:
    x = torch.ones(1, device=device)
    with pytest.raises(RuntimeError), unread(device):
        x.item()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_a_step_waits_for_nothing_on_a_gpu(optimizer: str, precision: str, device: str) -> None:
    """With a scaler, too: a fused optimiser itself leaves out a step whose gradients are not finite."""
    model = Model(num_class=4, window_size=8, channels=[8, 16, 16], Nh=2).to(device)
    state = State(
        model,
        build_optimizer(model, optimizer, base_lr=0.1, weight_decay=1e-4, momentum=0.9, nesterov=True),
        gradient_scaler(torch.device(device), precision),
    )
    losses = Losses(torch.device(device))
    given = batches(4, device)
    for number in range(2):
        group = Group(iter(given[2 * number : 2 * number + 2]), [2, 2], 0, 2, 4)
        settings: dict[str, Any] = {"device": torch.device(device), "precision": precision, "max_grad_norm": 1.0}
        if number:  # the first step makes the optimiser's moments
            with unread(device):
                step(state, model, group, losses, lr=0.1, **settings)
        else:
            step(state, model, group, losses, lr=0.1, **settings)
    assert losses.samples == 8
    assert int(losses.first_bad) == -1


@pytest.mark.parametrize("device", DEVICES)
def test_an_evaluation_waits_for_nothing_on_a_gpu(device: str) -> None:
    model = Model(num_class=4, window_size=8, channels=[8, 16, 16], Nh=2).to(device)
    features, given = Features(model, 2), batches(2, device)
    with features:
        for number, batch in enumerate(given):
            if number:
                with unread(device, but="nonzero"):
                    ((index, logits),) = score(model, [batch], torch.device(device), "float32")
                    features.keep(index)
            else:
                list(score(model, [batch], torch.device(device), "float32"))
    assert logits.shape == (2, 4)
    assert len(features.kept) == 1


@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_copies_are_right_on_a_gpu(pinned: bool) -> None:
    device = torch.device("cuda", 0)
    busy = torch.randn(4096, 4096, device=device)
    total = torch.zeros((), device=device)
    for number in range(50):
        busy = busy @ busy / 100  # the GPU is behind, and memory of earlier copies is free again
        x = torch.full((1 << 20,), float(number))
        total += to_device(x.pin_memory() if pinned else x, device).sum()
    assert float(total) == sum(range(50)) * (1 << 20)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_fused_optimisers_do_what_plain_ones_do(name: str) -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"base_lr": 0.05, "weight_decay": 0.01, "momentum": 0.9, "nesterov": True}
    model, plain = nn.Linear(5, 3), nn.Linear(5, 3)
    plain.load_state_dict(model.state_dict())
    optimizer = build_optimizer(model, name, **settings)
    assert optimizer.defaults["fused"]
    extra = {"momentum": 0.9, "nesterov": True} if name == "SGD" else {}
    other = getattr(torch.optim, name)(plain.parameters(), lr=0.05, weight_decay=0.01, foreach=False, **extra)
    x, label = torch.randn(6, 5), torch.tensor([0, 1, 2, 0, 1, 2])
    for _ in range(5):
        for module, stepper in ((model, optimizer), (plain, other)):
            F.cross_entropy(module(x), label).backward()
            stepper.step()
            stepper.zero_grad()
    torch.testing.assert_close(model.weight, plain.weight, rtol=1e-5, atol=1e-6)
    double = build_optimizer(nn.Linear(2, 2, device="meta"), name, **settings)  # a device without such kernels
    assert not double.defaults["fused"]
