"""The plain forms of other models have the sizes that papers give, learn in every weight, and are compared fairly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks import peers
from benchmarks.parts.peer_models import Peer, RefinedGraphConv, agcn, ctr_gcn, st_gcn

PEERS = {"ST-GCN": st_gcn, "2s-AGCN": agcn, "CTR-GCN": ctr_gcn}


@pytest.mark.parametrize(
    ("name", "num_class", "millions"),
    [("ST-GCN", 60, 3.10), ("2s-AGCN", 60, 3.47), ("CTR-GCN", 120, 1.46)],  # 2s-AGCN's two streams together: 6.94
)
def test_sizes_are_those_of_the_papers(name: str, num_class: int, millions: float) -> None:
    size = sum(p.numel() for p in PEERS[name](num_class).parameters())
    assert size / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize("name", PEERS)
def test_logits_of_samples_that_do_not_mix_and_a_gradient_for_every_weight(name: str) -> None:
    torch.manual_seed(0)
    model: Peer = PEERS[name](num_class=7, num_point=20, num_person=2)
    for key, parameter in model.named_parameters():
        if key.endswith("alpha"):  # it starts at zero, which hides what it multiplies
            nn.init.ones_(parameter)
    x = torch.randn(2, 3, 11, 20, 2)
    model(x).square().sum().backward()
    assert not [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    with torch.no_grad():
        logits = model.eval()(x)
        other = torch.cat([x[:1], torch.randn_like(x[1:])])
        assert logits.shape == (2, 7)
        torch.testing.assert_close(model(other)[:1], logits[:1])
        assert not torch.equal(model(other)[1:], logits[1:])


def test_refined_graph_is_the_formula_of_its_paper() -> None:
    torch.manual_seed(0)
    A = torch.rand(2, 4, 4)
    unit = RefinedGraphConv(16, 6, A).eval()
    nn.init.constant_(unit.alpha, 0.7)
    x = torch.randn(1, 16, 5, 4)

    def at(layer: nn.Module, features: Tensor) -> Tensor:
        """A 1x1 convolution of one vector of channels."""
        return layer.weight[:, :, 0, 0] @ features + layer.bias

    expected = torch.zeros(6, 5, 4)
    for k in range(2):
        for i in range(4):
            for j in range(4):
                a = torch.stack([at(unit.first[k], x[0, :, t, i]) for t in range(5)]).mean(dim=0)
                b = torch.stack([at(unit.second[k], x[0, :, t, j]) for t in range(5)]).mean(dim=0)
                graph = A[k, i, j] + 0.7 * at(unit.widen[k], torch.tanh(a - b))
                for t in range(5):
                    expected[:, t, i] += graph * at(unit.value[k], x[0, :, t, j])
    y = torch.relu(expected / (1 + unit.bn.eps) ** 0.5 + unit.residual(x)[0])
    torch.testing.assert_close(unit(x)[0], y)


def test_every_model_is_compared_in_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([*(1.0, 1.0), *(2.0, 4.0), *(8.0, 4.0), *(2.0, 4.0)] * 2)  # models take turns: the first one changes
    order: list[object] = []

    def seconds_of(step: object, _: object) -> float:
        order.append(step)
        return next(clock)

    monkeypatch.setattr(peers, "seconds_of", seconds_of)
    argv = ["--models", "T-TR", "CTR-GCN", "--frames", "128", "--precisions", "float32", "--batch_size", "4",
            "--num_round", "3", "--device", "cpu", "--out", str(tmp_path / "peers.json")]  # fmt: skip
    report = peers.main(argv)
    cases = {
        (case["model"], case["phase"]): case for case in json.loads((tmp_path / "peers.json").read_text())["cases"]
    }
    for phase in ("training", "evaluation"):
        # T-TR's rounds take 4, 8, 4 seconds, CTR-GCN's 2, 4, 2, for a batch of 2; the round before them is left out
        assert cases["T-TR", phase]["samples_per_s"] == 2 / 4
        assert cases["T-TR", phase]["of_ctr_gcn"] == 0.5
        assert cases["CTR-GCN", phase]["samples_per_s"] == 1.0
    assert order[:4] == [order[0], order[1], order[1], order[0]]
    assert report.notes[1].split() == ["T-TR", *["0.5", "(0.50)"] * 2]
