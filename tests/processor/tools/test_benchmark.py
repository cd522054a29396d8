"""The benchmark counts what it says: samples, FLOPs, each part once; and tells data from their absence."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from runs import MODEL, Data, make, write_data
from short import Model
from torch import Tensor, nn

from model import fast
from model.base import SkeletonModel
from model.layers.gcn import GCN
from model.layers.units import SpatialAttention
from model.options import StTrOptions
from processor.tools import benchmark as bench
from processor.tools.benchmark import Noise, Timed, benchmark

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SECONDS", 0.1)
    monkeypatch.setattr(bench, "ROUNDS", 2)
    monkeypatch.setitem(bench.SIDE, "cpu", 256)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_table_and_file(data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture, precision: str) -> None:
    config = make(data, tmp_path, phase="benchmark", precision=precision, test_batch_size=5)
    with caplog.at_level(logging.INFO):
        measured = benchmark(config)
    content = json.loads((config.work_dir / "benchmark.json").read_text(encoding="utf-8"))
    assert sorted(path.name for path in config.work_dir.iterdir()) == ["benchmark.json"]
    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter, torch.no_grad(), fast.reference():
        Model(**MODEL).eval()(torch.zeros(1, 3, 8, 20, 1))
    assert content["model"]["flops"] == counter.get_total_flops()
    for phase, factor, size in (("training", 3, 6), ("evaluation", 1, 5)):
        speed, written = measured[phase], content[phase]
        assert speed.batch_size == size
        assert 0 < speed.median_samples_per_s <= speed.samples_per_s
        assert speed.flops_per_s == pytest.approx(factor * counter.get_total_flops() * speed.samples_per_s)
        assert written["peak_share"] == pytest.approx(speed.flops_per_s / content["peak_flops_per_s"])
        assert speed.waiting is not None
        assert 0 < speed.waiting < 1
        assert set(speed.parts) == {*Model.PARTS, "other"}
        assert speed.parts["attention"] > 0
        assert phase in caplog.text
    assert "waiting for data" in caplog.text


def test_without_data_on_random_numbers(data: Data, tmp_path: Path) -> None:
    absent = {"data_path": str(tmp_path / "absent.npy"), "label_path": str(tmp_path / "absent.pkl")}
    measured = benchmark(make(data, tmp_path, test_feeder_args=absent))
    assert measured["evaluation"].waiting is None
    assert measured["training"].waiting is not None


def test_clips_of_a_sample_are_so_many_forward_passes(data: Data, tmp_path: Path) -> None:
    clips = {**data["val"], "sampling": "uniform", "window_size": 8, "num_clips": 3}
    speed = benchmark(make(data, tmp_path, test_feeder_args=clips, test_batch_size=5))["evaluation"]
    content = json.loads((tmp_path / "run" / "benchmark.json").read_text(encoding="utf-8"))
    assert speed.batch_size == 5
    assert speed.flops_per_s == pytest.approx(3 * content["model"]["flops"] * speed.samples_per_s)


def test_every_part_is_measured_once() -> None:
    """A graph convolution beside an attention is the graph convolution's time, not the attention's."""
    model = Model(**{**MODEL, "only_attention": False, "tcn_attention": True, "only_temporal_attention": False})
    measured = model.parts()
    lower = next(block.gcn1 for block in model.backbone if isinstance(block.gcn1, GCN))
    upper = next(block.gcn1 for block in model.backbone if isinstance(block.gcn1, SpatialAttention))
    assert (measured[lower], lower.conv in measured) == (("gcn", None), False)
    assert (measured[upper], measured[upper.conv], upper.attention in measured) == (
        ("attention", None), ("gcn", "attention"), False,
    )  # fmt: skip
    assert measured[model.tcn0] == ("tcn", None)


def test_parts_leave_the_model_as_it_was(data: Data, tmp_path: Path) -> None:
    model = Model(**MODEL)
    parts = bench._parts(model, torch.randn(2, 3, 8, 20, 1), CPU, "float32", training=True)
    assert all(seconds > 0 for seconds in parts.values())
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_slow_feeder_is_waited_for(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is the test's own: a sample takes a second, and nothing else takes any."""
    now = [0.0]
    monkeypatch.setattr(bench.time, "perf_counter", lambda: now[0])

    class Slow(Noise):
        def __getitem__(self, index: int) -> Any:
            now[0] += 1
            return super().__getitem__(index)

    loader = Timed(Slow((3, 8, 20, 1), 3, size=7), batch_size=4, workers=0, device=CPU)
    sizes = [len(x) for x, _, _ in loader.epoch(0)]
    assert sizes == [4, 3]
    assert (loader.given, loader.waited) == (7, 7.0)


class Tiny(SkeletonModel):
    """A model that compiles in a second."""

    Options: ClassVar = StTrOptions
    PARTS: ClassVar = {"gcn": (nn.Linear,)}

    def __init__(self, **model_args: Any) -> None:
        super().__init__(**model_args)
        self.fc = nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean(dim=(2, 3, 4)))


def test_parts_of_a_compiled_model_are_measured() -> None:
    model, x = Tiny(), torch.randn(2, 3, 4, 25, 2)
    model.compile(backend="eager")
    with torch.no_grad():
        model.eval()(x)  # what is compiled sees no hooks from now on
    assert bench._parts(model, x, torch.device("cpu"), "float32", training=False)["gcn"] > 0
