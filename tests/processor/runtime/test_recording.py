"""A recorded step computes what the model computes. Without a GPU, recording is played: it calls the model."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model import st_tr
from processor.config.schema import load_config
from processor.runtime.recording import Recorded, recorded


class Model(nn.Module):
    """Counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(3)
        self.linear = nn.Linear(3, 2)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.linear(F.dropout(self.bn(x), 0.5, self.training))


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Recording on a CPU: it warms up, as on a GPU, and then calls the model; the list has the sizes of replays."""
    replays: list[int] = []

    def record(module: nn.Module, samples: tuple[Tensor], **_: object) -> Callable[[Tensor], Tensor]:
        for _ in range(3):
            module(*samples)

        def replay(x: Tensor) -> Tensor:
            replays.append(len(x))
            return module(x)

        return replay

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.get_rng_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: torch.set_rng_state(state))
    return replays


def outcomes(call: nn.Module, model: nn.Module) -> list[Tensor]:
    """Results in training and evaluation on batches of 4, 4, 3 and 4, and the statistics in the end."""
    torch.manual_seed(0)
    results = []
    for size, training in ((4, True), (4, True), (3, True), (4, False), (4, True)):
        call.train(training)
        results.append(call(torch.randn(size, 3)).detach())
    return [*results, *model.buffers()]


def test_a_recorded_model_computes_what_the_model_computes(played: list[int]) -> None:
    plain, other = Model(), Model()
    other.load_state_dict(plain.state_dict())
    expected = outcomes(plain, plain)
    for ours, theirs in zip(outcomes(Recorded(other), other), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert played == [4, 4, 4]  # neither the small batch nor the evaluation


def test_a_model_that_cannot_be_recorded_is_told(monkeypatch: pytest.MonkeyPatch, played: list[int]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fail)
    with pytest.raises(ValueError, match=r"^cuda_graphs: this model cannot be recorded \(.*\); leave it out$"):
        Recorded(Model())(torch.zeros(4, 3))


def test_other_devices_train_without(caplog: pytest.LogCaptureFixture) -> None:
    model = Model()
    with caplog.at_level("INFO"):
        assert recorded(model, torch.device("cpu")) is model
    assert "training runs without them" in caplog.text


@pytest.mark.parametrize("other", [["--accumulation", "2"], ["--compile"]])
def test_what_cannot_be_joined_is_refused(other: list[str]) -> None:
    with pytest.raises(ValueError, match="a recorded step cannot be joined with"):
        load_config(["--config", "config/demo/train.yaml", "--cuda_graphs", *other])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("attention", [True, False])
def test_recorded_training_is_the_plain_one_to_the_bit_on_a_gpu(attention: bool) -> None:
    def weights(record: bool) -> Tensor:
        torch.manual_seed(0)
        options = {"channels": [16, 16, 32], "Nh": 2, "window_size": 20, "num_class": 4}
        model = st_tr.Model(**options, attention=attention, tcn_attention=not attention).cuda().train()
        call = Recorded(model) if record else model
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        for size in (4, 4, 3, 4):
            with torch.autocast("cuda", torch.bfloat16):
                loss = call(torch.randn(size, 3, 20, 25, 2, device="cuda")).float().logsumexp(dim=1).sum()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return torch.cat([x.detach().flatten().float() for x in model.state_dict().values()])

    assert torch.equal(weights(True), weights(False))
