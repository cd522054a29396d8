"""Two processes do what one does with twice the batch; each sample is seen once; a process that dies ends the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import MODEL, PYTHONPATH, Data, make, train, write_data
from short import Model
from torch import Tensor

import main as program
from processor.config.schema import Config, resolved
from processor.engine import data as loading
from processor.engine.data import Batches
from processor.results.scores import load_scores
from processor.runtime import distributed
from processor.state.checkpoint import read_checkpoint

ROOT = Path(program.__file__).parent
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
DEVICES = (  # what `--device 0 1` does, on a CPU
    "-c",
    (
        "import sys, pathlib; from processor.runtime import distributed; "
        "sys.exit(distributed.launch(pathlib.Path(sys.argv[1]), sys.argv[2:], 2))"
    ),
)
EXACT = {**MODEL, "dropout": 0.0, "drop_connect": False}  # nothing is drawn, or processes would draw other numbers


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return write_data(tmp_path_factory.mktemp("data"))


def written(config: Config) -> str:
    """The path of a file that holds this configuration."""
    file = config.work_dir.with_suffix(".yaml")
    file.write_text(resolved(config), encoding="utf-8")
    return str(file)


def processes(*words: str, command: Sequence[str] = TORCHRUN) -> subprocess.Popen[str]:
    """Two processes of a program with its arguments, the last of which is a file."""
    if command == TORCHRUN:
        command = (*TORCHRUN, "--log-dir", str(Path(words[-1]).with_name("logs")))
    return subprocess.Popen(
        [sys.executable, *command, *words],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PYTHONPATH},
    )  # fmt: skip


def start_together(folder: Path, *files: str) -> subprocess.Popen[str]:
    """Two processes that train with the configurations of files, one after another (`together.py`)."""
    return processes(str(Path(__file__).parents[1] / "together.py"), str(folder / "order"), *files)


def said_by(run: subprocess.Popen[str]) -> str:
    output, _ = run.communicate(timeout=180)
    assert run.returncode == 0, output
    return output


@dataclass(frozen=True)
class Runs:
    """A launch of two processes that trains three times, for all short tests; what it prints is the `output`."""

    folder: Path
    output: str
    one: Config
    one_step: Config
    tuned: Config


@pytest.fixture(scope="module")
def runs(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    settings: dict[str, Any] = {"model_args": EXACT, "optimizer": "SGD", "warm_up_epoch": 0, "sync_batch_norm": True}
    one = make(
        data, folder, batch_size=10, accumulation=1, base_lr=0.02, num_epoch=2, max_grad_norm=1.0,
        work_dir=folder / "one", **settings,
    )  # fmt: skip
    one_step = make(
        data, folder, batch_size=14, accumulation=2, base_lr=1.0, num_epoch=1, momentum=0.0, nesterov=False,
        weight_decay=0.0, lr_schedule="multi-step", work_dir=folder / "one_step", **settings,
    )  # fmt: skip
    tuned = replace(
        one, freeze=["data_bn", "gcn0", "tcn0", "backbone.1"], lr_factors={"fcn": 3.0}, decay_all=False, num_epoch=1,
        sampler="balanced", class_weights={"2": 4.0}, validation_feeder_args=data["val"], work_dir=folder / "tuned",
    )  # fmt: skip
    output = said_by(start_together(folder, *map(written, map(halved, (one, one_step, tuned)))))
    return Runs(folder, output, one, one_step, tuned)


def halved(config: Config) -> Config:
    """For two processes: what one does with this configuration."""
    folder = config.work_dir.with_name(f"{config.work_dir.name}_halved")
    return replace(config, batch_size=config.batch_size // 2, test_batch_size=3, work_dir=folder)


def weights(folder: Path, name: str = "last.pt") -> dict[str, Tensor]:
    state = read_checkpoint(folder / name)["model"]
    return {name: x for name, x in state.items() if x.is_floating_point()}


def difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """The largest, relative to the largest number of each tensor, or to a hundredth of the largest of all."""
    assert a.keys() == b.keys()
    size = {name: float(x.abs().max()) for name, x in b.items()}
    least = max(size.values()) / 100
    return max(float((a[name] - x).abs().max()) / max(size[name], least) for name, x in b.items())


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [4, 5, 7, 12, 13, 24, 25, 26])
def test_every_sample_is_in_one_batch_of_one_process(monkeypatch: pytest.MonkeyPatch, world: int, size: int) -> None:
    monkeypatch.setattr(loading, "world", lambda: world)
    parts = []
    for rank in range(world):
        monkeypatch.setattr(loading, "rank", lambda rank=rank: rank)
        order = Batches(size, 3, seed=7)
        order.epoch = 2
        parts.append(list(order))
        order.begin = 1
        assert list(order) == parts[-1][1:]
    assert sorted(i for part in parts for batch in part for i in batch) == list(range(size))
    assert len({len(part) for part in parts}) == 1  # all take as many steps
    assert [sum(map(len, batches)) for batches in zip(*parts, strict=True)] == order.sizes
    monkeypatch.setattr(loading, "world", lambda: 1)
    monkeypatch.setattr(loading, "rank", lambda: 0)
    alone = Batches(size, 3 * world, seed=7)
    alone.epoch = 2
    together = [sorted(chain(*batches)) for batches in zip(*parts, strict=True)]
    if 1 < size % (3 * world) < world:  # the rest joins the batch before
        assert together[:-1] == [sorted(batch) for batch in alone][:-2]
    else:
        assert together == [sorted(batch) for batch in alone]


def test_two_processes_are_one_with_twice_the_batch(runs: Runs) -> None:
    assert runs.output.count("epoch 1 of 2 took") == 1  # the first process alone speaks
    alone, both = train(runs.one), halved(runs.one).work_dir
    assert difference(weights(both), weights(runs.one.work_dir)) < 2e-5
    scores = load_scores(both / "test_score.npz")
    assert scores.names == alone.names
    torch.testing.assert_close(torch.tensor(scores.scores), torch.tensor(alone.scores), rtol=1e-4, atol=1e-4)
    assert len(list(both.glob("events.out.tfevents.*"))) == 1


def test_frozen_parts_weights_and_balanced_draws_are_those_of_one_process(runs: Runs) -> None:
    train(runs.tuned)
    alone, both = weights(runs.tuned.work_dir), weights(halved(runs.tuned).work_dir)
    assert difference(both, alone) < 2e-5
    assert torch.equal(both["gcn0.bn.running_mean"], torch.zeros(16))  # as it begins
    assert torch.equal(both["backbone.1.tcn1.conv.weight"], alone["backbone.1.tcn1.conv.weight"])


def test_gradients_are_those_of_twice_the_batch(runs: Runs) -> None:
    """One step of SGD at a rate of 1 subtracts the gradient: of 25 samples in two batches, the last of them uneven."""
    train(runs.one_step)
    torch.manual_seed(0)
    start = Model(**EXACT).state_dict()
    a, b = (
        {name: x - start[name] for name, x in weights(c.work_dir).items()}
        for c in (halved(runs.one_step), runs.one_step)
    )
    assert max(float(x.abs().max()) for x in b.values()) > 0.01
    assert difference(a, b) < 1e-4


@pytest.mark.slow
def test_a_dead_process_ends_the_run_which_then_goes_on(data: Data, tmp_path: Path) -> None:
    plain, mark = make(data, tmp_path), tmp_path / "dead"
    feeders: dict[str, Any] = {
        f"{key}_feeder_args": {**getattr(plain, f"{key}_feeder_args"), "mark": str(mark)} for key in ("train", "test")
    }
    config = make(data, tmp_path, feeder="dying.Feeder", batch_size=3, num_epoch=3, resume="auto", **feeders)
    undisturbed = replace(config, work_dir=tmp_path / "undisturbed")
    dying = processes(str(ROOT / "main.py"), "--config", written(config), command=DEVICES)
    said, _ = dying.communicate(timeout=120)
    assert dying.returncode == 128 + signal.SIGKILL
    assert "process 1 of the run ended with status 137; the others were stopped" in said
    assert said.count("epoch 1 of 3 took") == 1
    assert mark.exists()
    output = said_by(start_together(tmp_path, *map(written, (config, undisturbed))))
    assert output.count("resumed after epoch 1") == 1
    a, b = weights(config.work_dir), weights(undisturbed.work_dir)
    assert all(torch.equal(a[name], b[name]) for name in a)  # dropout and statistics of both processes included


def test_the_first_process_goes_first(runs: Runs) -> None:
    """What it makes in two seconds, the other finds."""
    assert (runs.folder / "order").read_text() == "01"


@pytest.mark.slow
def test_a_signal_saves_and_stops_all(data: Data, tmp_path: Path) -> None:
    """The launcher's signal reaches workers that load data, too."""
    config = make(data, tmp_path, batch_size=3, num_epoch=40, resume="auto", num_worker=1, save_interval=100)
    run, said = processes(str(ROOT / "main.py"), "--config", written(config)), ""
    assert run.stdout is not None
    for line in run.stdout:
        said += line
        if "epoch 3 of 40" in line:
            run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=120)
    assert "stopped by SIGTERM" in said
    undisturbed = replace(config, work_dir=tmp_path / "undisturbed")
    assert "resumed after epoch" in said_by(start_together(tmp_path, *map(written, (config, undisturbed))))
    assert difference(weights(config.work_dir), weights(undisturbed.work_dir)) < 1e-5


@pytest.mark.slow
def test_two_compiled_processes_do_what_two_plain_ones_do(data: Data, tmp_path: Path) -> None:
    """By SGD: AdamW takes full steps along gradients that are rounding errors, those of biases before a batch norm."""
    settings: dict[str, Any] = {"model": "small.Model", "model_args": {"dropout": 0.0}, "sync_batch_norm": True}
    settings |= {"optimizer": "SGD", "batch_size": 5, "test_batch_size": 3, "num_epoch": 2}
    plain = make(data, tmp_path, work_dir=tmp_path / "plain", **settings)
    compiled = replace(plain, compile=True, work_dir=tmp_path / "compiled")
    said_by(start_together(tmp_path, *map(written, (plain, compiled))))
    assert difference(weights(compiled.work_dir), weights(plain.work_dir)) < 1e-4


class Pair:
    """Two processes' `all_reduce`, in two threads: each adds its tensor and waits for the other's."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2, timeout=30)
        self.given: dict[int, Tensor] = {}

    def all_reduce(self, x: Tensor) -> None:
        self.given[threading.get_ident()] = x.detach().clone()
        self.barrier.wait()
        total = sum(self.given.values())
        self.barrier.wait()
        with torch.no_grad():
            x.copy_(total)


def second_derivatives(norm: torch.nn.Module, x: Tensor, weight: Tensor) -> Tensor:
    """Of a penalty on the gradient by `x`, as for a smooth model."""
    x = x.clone().requires_grad_()
    (first,) = torch.autograd.grad((norm(x).sin() * weight).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.pow(3).sum(), x)
    return second


def test_synchronised_batch_norm_has_the_second_derivatives_of_the_batch_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(10, 3, dtype=torch.float64), torch.randn(10, 3, dtype=torch.float64)
    expected = second_derivatives(torch.nn.BatchNorm1d(3).double(), x, weight)
    monkeypatch.setattr(torch.distributed, "all_reduce", Pair().all_reduce)
    monkeypatch.setattr(distributed, "world", lambda: 2)
    norm = torch.nn.Sequential(torch.nn.BatchNorm1d(3)).double()
    distributed.synchronise_batch_norm(norm)
    norms = [deepcopy(norm) for _ in range(2)]
    with ThreadPoolExecutor(2) as both:  # of 6 and of 4 samples
        parts = list(both.map(second_derivatives, norms, x.split([6, 4]), weight.split([6, 4])))
    torch.testing.assert_close(torch.cat(parts), expected)


def statistics_of(norm: torch.nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """What a batch norm gives in two steps of training, and what it keeps."""
    y = torch.stack([norm(x), norm(2 * x + 1)])
    return (y, *norm.buffers())


class Users(torch.nn.BatchNorm2d):
    """A subclass without a forward of its own."""


class Halved(torch.nn.BatchNorm1d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 2


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (torch.nn.BatchNorm1d(3), (10, 3)),
        (torch.nn.BatchNorm1d(3, momentum=None), (10, 3, 4)),
        (torch.nn.BatchNorm2d(3, affine=False), (10, 3, 4, 2)),
        (Users(3, momentum=0.3), (10, 3, 4, 2)),
        (torch.nn.BatchNorm3d(3, track_running_stats=False), (10, 3, 4, 2, 2)),
    ],
    ids=str,
)
def test_every_kind_of_batch_norm_is_synchronised(
    monkeypatch: pytest.MonkeyPatch, norm: torch.nn.Module, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    x, norm = torch.randn(*shape, dtype=torch.float64), norm.double()
    expected, *buffers = statistics_of(deepcopy(norm), x)
    monkeypatch.setattr(torch.distributed, "all_reduce", Pair().all_reduce)
    monkeypatch.setattr(distributed, "world", lambda: 2)
    norms = [torch.nn.Sequential(deepcopy(norm)) for _ in range(2)]
    for model in norms:
        distributed.synchronise_batch_norm(model)
        assert isinstance(model[0], type(norm))
    with ThreadPoolExecutor(2) as both:
        parts = list(both.map(statistics_of, norms, x.split([6, 4])))
    torch.testing.assert_close(torch.cat([y for y, *_ in parts], dim=1), expected)
    for _, *of_part in parts:
        assert len(of_part) == len(buffers)
        for ours, buffer in zip(of_part, buffers, strict=True):
            torch.testing.assert_close(ours, buffer)


def test_a_batch_norm_with_a_forward_of_its_own_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(distributed, "world", lambda: 2)
    model = torch.nn.ModuleDict({"norm": Halved(3)})
    distributed.synchronise_batch_norm(model)
    assert type(model["norm"]) is Halved
    assert "sync_batch_norm: norm has a forward of its own" in caplog.text


def test_too_few_samples(data: Data, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loading, "world", lambda: 26)
    with pytest.raises(ValueError, match="25 training samples do not suffice for 26 processes; start fewer"):
        train(make(data, tmp_path))


@pytest.mark.parametrize("phase", ["info", "benchmark", "explain", "predict", "export"])
def test_a_phase_for_one_process_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, phase: str
) -> None:
    """Each process would write the same files."""
    monkeypatch.setattr(program, "_process_group", nullcontext)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    words = ["--phase", phase, "--work_dir", str(tmp_path / "run")]
    assert program.main(["--config", "config/demo/train.yaml", *words]) == 1
    assert f"phase: {phase} is for one process; leave torchrun out" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
