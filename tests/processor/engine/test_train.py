"""The engine: a run learns, is written down, stops and goes on, and names its user's mistakes."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import MODEL, Data, make, run_test, say, train, write_data
from torch.nn import functional as F

import main as program
from processor.config.schema import Config, load_config, resolved
from processor.engine import train as engine
from processor.engine.data import Loader
from processor.engine.optimizer import Schedule, build_optimizer
from processor.engine.setup import set_up_training
from processor.results.scores import load_scores
from processor.runtime import device as runtime
from processor.runtime.device import choose_device, effective_precision, gradient_scaler
from processor.runtime.failure import is_expected, sentence
from processor.runtime.signals import StoppedError
from processor.state.checkpoint import State, read_checkpoint


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return write_data(tmp_path)


@pytest.fixture
def config(data: Data, tmp_path: Path) -> Config:
    return make(data, tmp_path)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / "last.pt")["model"]


@pytest.mark.usefixtures("drawn")
def test_a_run_learns_and_writes_everything_down(data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    config = make(data, tmp_path, num_epoch=10, accumulation=1)
    scores = train(config)
    assert scores.top_k(1) >= 0.9
    written = {path.name for path in config.work_dir.iterdir()}
    assert {
        "last.pt", "best.pt", "config.yaml", "log.txt", "test_score.npz", "per_class_accuracy.csv",
        "confusion_matrix.csv", "confusion_matrix.png",
    } <= written  # fmt: skip
    assert any(name.startswith("events.out.tfevents") for name in written)
    assert not any(name.endswith(".tmp") for name in written)
    saved = load_scores(config.work_dir / "test_score.npz")
    assert saved.names == tuple(f"val{i}" for i in range(10))
    np.testing.assert_array_equal(saved.scores, scores.scores)
    assert "top-1" in (config.work_dir / "log.txt").read_text(encoding="utf-8")
    assert load_config(["--config", str(config.work_dir / "config.yaml")]) == config


def test_test_phase_repeats_the_scores_of_training(data: Data, tmp_path: Path) -> None:
    scores = train(make(data, tmp_path))
    again = run_test(make(data, tmp_path, phase="test", test_batch_size=3))
    np.testing.assert_allclose(again.scores, scores.scores, atol=1e-5)
    elsewhere = make(data, tmp_path, phase="test", weights=tmp_path / "run" / "last.pt", work_dir=tmp_path / "other")
    np.testing.assert_allclose(run_test(elsewhere).scores, scores.scores, atol=1e-5)
    assert load_scores(tmp_path / "other" / "test_score.npz").names == scores.names


@pytest.mark.parametrize(("stop_after", "optimizer", "workers"), [(1, "AdamW", 0), (2, "SGD", 1), (3, "Adam", 0)])
def test_a_run_stopped_after_any_epoch_ends_with_the_same_bits(
    data: Data,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_after: int,
    optimizer: str,
    workers: int,
) -> None:
    train(make(data, tmp_path, work_dir=tmp_path / "whole", optimizer=optimizer))

    class PowerCutError(Exception):
        pass

    save = State.save

    def save_and_stop(self: State, path: Path, text: str, **previous: Path) -> None:
        save(self, path, text, **previous)
        if path.name == "last.pt" and self.epoch == stop_after:
            raise PowerCutError

    stopped = make(
        data, tmp_path, work_dir=tmp_path / "stopped", resume="auto", optimizer=optimizer, num_worker=workers
    )
    with monkeypatch.context() as patch:
        patch.setattr(State, "save", save_and_stop)
        with pytest.raises(PowerCutError):
            train(stopped)
    torch.manual_seed(12345)  # another process has another state
    train(stopped)
    undisturbed, resumed = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert undisturbed.keys() == resumed.keys()
    assert all(torch.equal(undisturbed[name], resumed[name]) for name in undisturbed)
    assert read_checkpoint(tmp_path / "stopped" / "last.pt")["epoch"] == 4


def test_the_seed_decides_the_run(data: Data, tmp_path: Path) -> None:
    runs = []
    for i, seed in enumerate((0, 0, 1)):
        train(make(data, tmp_path, seed=seed, num_epoch=1, work_dir=tmp_path / str(i), num_worker=i % 2))
        runs.append(weights(tmp_path / str(i))["fcn.weight"])
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_an_interrupted_save_leaves_the_old_checkpoint(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = torch.nn.Linear(2, 2)
    state = State(model, torch.optim.SGD(model.parameters(), lr=0.1))
    path = tmp_path / "last.pt"
    state.save(path, {})
    before = path.read_bytes()

    def half(content: object, file: Any) -> None:
        file.write(before[:50])
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="no space"):
        state.save(path, {})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.glob("last*")] == ["last.pt"]


class Samples(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """20 samples of four numbers."""

    sample_name = tuple(map(str, range(20)))

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(1)
        self.x, self.label = torch.randn(20, 4, generator=rng), torch.randint(3, (20,), generator=rng)

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, int]:
        return self.x[index], self.label[index], index


def steps_of(size: int, accumulation: int, samples: int = 0) -> tuple[State, list[int]]:
    """An epoch in batches of `size`, from so many samples on: the state, and how many were seen after each step."""
    torch.manual_seed(0)
    model, cpu = torch.nn.Linear(4, 3), torch.device("cpu")
    state = State(model, build_optimizer(model, "SGD", base_lr=0.0, weight_decay=1e-4, momentum=0.9, nesterov=True))
    loader, losses, ends = Loader(Samples(), batch_size=size, workers=0, device=cpu, seed=0), engine.Losses(cpu), []
    for group in loader.steps(0, loader.batches_in(samples, accumulation), accumulation):
        engine.step(state, model, group, losses, lr=0.5, device=cpu, precision="float32", max_grad_norm=0.3)
        ends.append(state.samples)
    return state, ends


def test_accumulated_batches_make_the_step_of_one_large_batch() -> None:
    """Several make the same step as one that is as large, the short last ones too: the second step sees 8 samples."""
    weights = []
    for size, accumulation in ((12, 1), (6, 2), (4, 3)):
        state, ends = steps_of(size, accumulation)
        assert ends == [12, 20]
        assert state.step == 2
        weights.append(state.model.weight.detach())
    torch.testing.assert_close(weights[0], weights[1])
    torch.testing.assert_close(weights[0], weights[2])


@pytest.mark.parametrize(
    ("size", "accumulation", "samples", "ends"),
    [
        (6, 1, 12, [18, 20]),
        (4, 1, 12, [16, 20]),
        (5, 1, 12, [15, 20]),  # two are seen again
        (3, 2, 12, [18, 20]),
        (4, 2, 12, [16, 20]),  # whole steps alone count
        (6, 1, 20, []),
        (40, 1, 12, [20]),
    ],
)
def test_an_epoch_goes_on_with_other_batches(size: int, accumulation: int, samples: int, ends: list[int]) -> None:
    assert steps_of(size, accumulation, samples)[1] == ends


def test_schedules() -> None:
    steps = Schedule("multi-step", 6, base_lr=1.0, step=[2, 4], gamma=0.1, warm_up_epoch=1)
    expected = {0: 0, 0.5: 0.5, 1: 1, 2: 1, 2.01: 0.1, 4: 0.1, 4.1: 0.01, 6: 0.01}
    assert {epoch: pytest.approx(steps(epoch)) for epoch in expected} == expected
    cosine = Schedule("cosine", 12, base_lr=1.0, min_lr=0.2, warm_up_epoch=2)
    expected = {1: 0.5, 2: 1, 7: 0.6, 12: 0.2}
    assert {epoch: pytest.approx(cosine(epoch)) for epoch in expected} == expected
    assert Schedule("cosine", 12, base_lr=1.0)(12) == 0


def test_every_step_has_the_rate_of_the_moment_at_which_it_ends(
    data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    class Recorder(Schedule):
        def __call__(self, epoch: float) -> float:
            asked.append(epoch)
            return 1e-3

    caplog.set_level(logging.INFO)
    run = set_up_training(make(data, tmp_path, num_epoch=2, log_interval=3))
    engine.train(replace(run, schedule=Recorder("cosine", 2, base_lr=1e-3)))
    number = len(asked) // 2
    logged = [int(step) for step in re.findall(r"step (\d+): loss", caplog.text)]
    assert logged == [step for step in range(1, 2 * number + 1) if step % 3 == 0 or step % number == 0]
    assert number > 1
    assert asked == pytest.approx(
        [(step + 1) / number for step in range(2 * number)], abs=1 / len(run.loaders["train"].sizes)
    )
    assert asked[number - 1] == 1
    assert asked[-1] == 2


@pytest.mark.parametrize(("name", "kind"), [("SGD", torch.optim.SGD), ("Adam", torch.optim.Adam)])
def test_optimizers_take_their_settings(name: Any, kind: type) -> None:
    optimizer = build_optimizer(
        torch.nn.Linear(1, 1), name, base_lr=0.3, weight_decay=0.01, momentum=0.9, nesterov=True
    )
    assert type(optimizer) is kind
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.01)
    assert name != "SGD" or (group["nesterov"] and group["momentum"] == 0.9)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(data: Data, tmp_path: Path) -> None:
    train(make(data, tmp_path, num_epoch=1))
    before = (tmp_path / "run" / "last.pt").read_bytes()
    x = np.load(data["train"]["data_path"])
    x[7] = 3e38  # whose variance is not finite
    np.save(data["train"]["data_path"], x)
    with pytest.raises(ValueError, match=r"no longer finite in epoch 2, at or before step .* are in .*not_finite\.txt"):
        train(make(data, tmp_path, num_epoch=2, resume="auto", log_interval=100))
    names = (tmp_path / "run" / "not_finite.txt").read_text().split()
    assert "train7" in names
    assert len(names) <= 7  # of one batch
    assert (tmp_path / "run" / "last.pt").read_bytes() == before


def test_the_sentence_of_a_worker_is_as_of_this_process(data: Data, tmp_path: Path) -> None:
    x = np.load(data["train"]["data_path"])
    x[7] = np.inf
    np.save(data["train"]["data_path"], x)
    for workers in (0, 1):
        with pytest.raises(ValueError, match="holds NaN or infinity") as caught:
            train(make(data, tmp_path, num_epoch=1, num_worker=workers, overwrite=True))
        assert is_expected(caught.value)
        assert sentence(caught.value).startswith(f"{data['train']['data_path']}: the sample 'train7' holds NaN")


@pytest.mark.parametrize("place", ["the last step", "an evaluation", "the report"])
def test_a_signal_late_in_a_run_stops_it(
    place: str, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = {"the last step": "step", "an evaluation": "_evaluate", "the report": "_finish"}[place]
    function, calls = getattr(engine, name), []

    def interrupted(*args: Any, **options: Any) -> Any:
        result = function(*args, **options)
        calls.append(name)
        if name != "step" or len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    config = make(data, tmp_path, num_epoch=1, resume="auto")
    monkeypatch.setattr(engine, name, interrupted)
    with pytest.raises(StoppedError, match="stopped by SIGTERM"):
        train(config)
    monkeypatch.setattr(engine, name, function)
    assert read_checkpoint(tmp_path / "run" / "last.pt")["step"] == 2
    resumed = train(config)
    other = train(make(data, tmp_path, num_epoch=1, work_dir=tmp_path / "other"))
    np.testing.assert_array_equal(resumed.scores, other.scores)


def test_a_used_work_dir_is_refused_unless_overwritten(data: Data, tmp_path: Path) -> None:
    train(make(data, tmp_path, num_epoch=1))
    (tmp_path / "run" / "notes.md").write_text("mine")
    before = (tmp_path / "run" / "last.pt").read_bytes()
    with pytest.raises(ValueError, match=r"holds an earlier run .* --resume auto.*--overwrite"):
        train(make(data, tmp_path, num_epoch=1, seed=1))
    assert (tmp_path / "run" / "last.pt").read_bytes() == before
    train(make(data, tmp_path, num_epoch=1, seed=1, overwrite=True))
    assert (tmp_path / "run" / "last.pt").read_bytes() != before
    assert len(list((tmp_path / "run").glob("events*"))) == 1
    assert (tmp_path / "run" / "notes.md").read_text() == "mine"


def test_overwriting_test_results_leaves_the_run_of_the_folder(data: Data, tmp_path: Path) -> None:
    train(make(data, tmp_path, num_epoch=1))
    train(make(data, tmp_path, num_epoch=1, seed=1, work_dir=tmp_path / "other"))
    run = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    foreign = make(data, tmp_path, phase="test", weights=tmp_path / "other" / "last.pt")
    with pytest.raises(ValueError, match="holds an earlier run"):
        run_test(foreign)
    run_test(replace(foreign, overwrite=True))
    after = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert all(after[name] == run[name] for name in ("last.pt", "best.pt", "config.yaml"))
    assert after["test_score.npz"] != run["test_score.npz"]


def test_a_run_goes_on_only_in_its_own_folder(data: Data, tmp_path: Path) -> None:
    train(make(data, tmp_path, num_epoch=1))
    train(make(data, tmp_path, num_epoch=1, work_dir=tmp_path / "other"))
    before = (tmp_path / "other" / "last.pt").read_bytes()
    elsewhere = make(data, tmp_path, num_epoch=2, resume=str(tmp_path / "run" / "last.pt"), work_dir=tmp_path / "other")
    with pytest.raises(ValueError, match="other holds an earlier run"):
        train(elsewhere)
    assert (tmp_path / "other" / "last.pt").read_bytes() == before
    assert (tmp_path / "run" / "last.pt").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_two_processes_do_not_train_in_one_folder(data: Data, tmp_path: Path) -> None:
    train(make(data, tmp_path, num_epoch=1))
    before = (tmp_path / "run" / "last.pt").read_bytes()
    code = f"import fcntl; f = open({str(tmp_path / 'run' / 'log.txt')!r}, 'a'); fcntl.lockf(f, fcntl.LOCK_EX); "
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        for options in ({"resume": "auto"}, {"overwrite": True}):
            with pytest.raises(ValueError, match=r"another process trains in .*run; wait for its end"):
                train(make(data, tmp_path, num_epoch=2, **options))
        assert (tmp_path / "run" / "last.pt").read_bytes() == before
        other.kill()
    train(make(data, tmp_path, num_epoch=2, resume="auto"))


def test_a_resumed_run_has_its_own_settings_and_the_old_runs_moments(data: Data, tmp_path: Path) -> None:
    train(make(data, tmp_path, num_epoch=1))
    train(make(data, tmp_path, num_epoch=2, resume="auto", weight_decay=0.5))
    optimizer = read_checkpoint(tmp_path / "run" / "last.pt")["optimizer"]
    assert optimizer["param_groups"][0]["weight_decay"] == 0.5
    assert optimizer["state"][0]["step"] == 4
    for other in ("SGD", "Adam"):
        with pytest.raises(ValueError, match=f"was trained with AdamW, not {other}"):
            train(make(data, tmp_path, num_epoch=3, resume="auto", optimizer=other))


def test_a_run_that_has_trained_longer_is_not_resumed(data: Data, tmp_path: Path) -> None:
    train(make(data, tmp_path, num_epoch=2))
    with pytest.raises(ValueError, match=r"num_epoch: 1, but .*last\.pt has trained 2; take as many or more"):
        train(make(data, tmp_path, num_epoch=1, resume="auto"))


def half_trained(data: Data, tmp_path: Path, **changes: Any) -> Path:
    """A run that has been stopped inside its second epoch; its first one is not evaluated."""
    train(make(data, tmp_path, num_epoch=1, **changes))
    path = tmp_path / "run" / "last.pt"
    began = {"samples": 12, "evaluated": 0, "best": -1.0, "best_epoch": 0}
    torch.save({**torch.load(path, weights_only=True), **began}, path)
    return path


@pytest.mark.parametrize("changes", [{}, {"early_stopping": "test", "patience": 0}])
def test_half_trained_weights_are_not_evaluated(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    half_trained(data, tmp_path)
    evaluated, evaluate = [], engine._evaluate

    def noted(run: Any, features: Any, *, must: bool) -> Any:
        evaluated.append((run.state.epoch, run.state.samples))
        return evaluate(run, features, must=must)

    monkeypatch.setattr(engine, "_evaluate", noted)
    train(make(data, tmp_path, num_epoch=2, resume="auto", **changes))
    assert evaluated == [(2, 0)]
    assert read_checkpoint(tmp_path / "run" / "best.pt")["best_epoch"] == 2


def test_a_run_inside_the_epoch_after_the_last_is_not_resumed(data: Data, tmp_path: Path) -> None:
    before = half_trained(data, tmp_path).read_bytes()
    with pytest.raises(
        ValueError, match=r"num_epoch: 1, but .*last\.pt has trained 12 samples of epoch 2; take 2 or more, or another"
    ):
        train(make(data, tmp_path, num_epoch=1, resume="auto"))
    assert (tmp_path / "run" / "last.pt").read_bytes() == before


def test_what_an_optimiser_and_a_loss_keep_is_resumed_to_the_bit(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keeping.py").write_text(KEEPING, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    args = {"optimizer": "keeping.Counting", "loss": "keeping.Running", "base_lr": 0.1, "warm_up_epoch": 0}
    train(make(data, tmp_path, num_epoch=2, work_dir=tmp_path / "whole", **args, lr_schedule="multi-step"))
    for epochs in (1, 2):
        train(
            make(
                data,
                tmp_path,
                num_epoch=epochs,
                work_dir=tmp_path / "halves",
                resume="auto",
                **args,
                lr_schedule="multi-step",
            )
        )
    whole, halves = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "halves"))
    assert whole["optimizer"]["param_groups"] == halves["optimizer"]["param_groups"]
    assert whole["optimizer"]["param_groups"][0]["count"] == whole["step"]
    assert whole["loss"]["mean"] == halves["loss"]["mean"] != 0
    assert all(torch.equal(x, halves["model"][name]) for name, x in whole["model"].items())


KEEPING = """
import torch
class Counting(torch.optim.SGD):  # counts its steps in its groups, and takes smaller ones
    def __init__(self, params, lr):
        super().__init__(params, lr=lr)
        for group in self.param_groups:
            group.setdefault("count", 0)
    def step(self, closure=None):
        for group in self.param_groups:
            group["count"] += 1
            group["lr"] /= group["count"]
        super().step(closure)
class Running(torch.nn.Module):  # weighs a batch by the mean of those before
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
    def forward(self, logits, labels):
        loss = torch.nn.functional.cross_entropy(logits, labels)
        self.mean.mul_(0.9).add_(0.1 * loss.detach())
        return loss * (1 + self.mean)
"""


def test_the_logged_loss_is_the_mean_of_samples() -> None:
    losses = engine.Losses(torch.device("cpu"))
    for size, loss in ((32, 1.0), (2, 5.0)):
        losses.add(0, torch.tensor(loss), torch.eye(2)[[0] * size], torch.tensor([0] * (size // 2) + [1] * (size // 2)))
    assert losses.read(None) == (pytest.approx((32 * 1.0 + 2 * 5.0) / 34), 0.5, [])  # type: ignore[arg-type]


def test_missing_data_is_answered_with_the_data_sets_help(data: Data, tmp_path: Path) -> None:
    config = make(data, tmp_path, data_help="ask for it at HERE")
    config.train_feeder_args["data_path"] = "nowhere/train.npy"
    with pytest.raises(ValueError, match=r"nowhere/train.npy not found .*\nask for it at HERE"):
        train(config)
    assert not config.work_dir.exists()


def test_data_and_model_that_do_not_fit_are_refused_with_both_numbers(data: Data, tmp_path: Path) -> None:
    wrong = {**MODEL, "num_class": 2, "num_person": 2, "channel": 6}
    with pytest.raises(
        ValueError,
        match=r"channels 3 in the data, channel 6 .* \(`stream: joint\+bone` in train_.*; persons 1 .*; labels 0 to 2",
    ):
        train(make(data, tmp_path, model_args=wrong))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("classes", [3, 2])
def test_a_users_own_module_is_tried_out(
    data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, classes: int
) -> None:
    """A model that is no `SkeletonModel` is trained, tested, resumed and described; others are told from its logits."""
    config = make(data, tmp_path, model="faulty.Plain", model_args={"num_class": classes}, num_epoch=1)
    if classes == 2:
        with pytest.raises(
            ValueError, match=r"model: faulty\.Plain gives \(1, 2\) for train .* expected, for labels up to 2"
        ):
            train(config)
        return
    scores = train(config)
    np.testing.assert_array_equal(run_test(replace(config, phase="test")).scores, scores.scores)
    train(replace(config, num_epoch=2, resume="auto"))
    tuned = replace(config, weights=tmp_path / "run" / "last.pt", work_dir=tmp_path / "tuned", model_args={})
    train(tuned)  # `num_class` comes from the file
    file = tmp_path / "config.yaml"
    file.write_text(resolved(replace(config, weights=tmp_path / "run" / "last.pt")), encoding="utf-8")
    status, said, error = say(["--config", str(file), "--phase", "info"], capsys, caplog)
    assert status == 0, error
    assert "parameters  12\noptions     num_class 3, width 1" in said
    status, _, error = say(["--config", str(file), "--phase", "benchmark"], capsys, caplog)
    assert status == 1
    assert "faulty.Plain is no model.base.SkeletonModel" in error


def test_gpus_that_are_not_there_are_done_without_or_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device([0, 1]) == choose_device("auto")
    assert "device: GPU [0, 1] is asked for, this machine has none; computing on" in caplog.text
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: None)
    with pytest.raises(ValueError, match="GPU 97 is asked for, this machine has 2"):
        choose_device([97])
    assert choose_device([1, 0]) == torch.device("cuda", 1)
    monkeypatch.setattr(runtime, "local_rank", lambda: 1)
    assert choose_device([1, 0]) == torch.device("cuda", 0)
    assert choose_device("auto") == torch.device("cuda", 1)
    with pytest.raises(ValueError, match=r"\[0\] has no GPU for process 1; start 1 process"):
        choose_device([0])


def test_label_smoothing_and_precision_reach_the_loss(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[tuple[float, bool]] = set()
    original = F.cross_entropy

    def spy(logits: torch.Tensor, label: torch.Tensor, *, label_smoothing: float = -1.0) -> torch.Tensor:
        seen.add((label_smoothing, torch.is_autocast_enabled("cpu")))
        return original(logits, label, label_smoothing=label_smoothing)

    monkeypatch.setattr(engine.F, "cross_entropy", spy)
    monkeypatch.setattr("processor.runtime.device.computes_in", lambda device, precision: True)
    train(make(data, tmp_path, num_epoch=1, label_smoothing=0.1, precision="bfloat16"))
    assert seen == {(0.1, True), (-1.0, False)}  # of training and of evaluation


@pytest.mark.parametrize(
    ("loss", "args", "complaint"),
    [
        (
            "torch.nn.Linear",
            {"in_features": 3, "out_features": 1},
            r"Linear has the parameter 'weight'",
        ),
        ("torch.nn.CrossEntropyLoss", {"reduction": "none"}, r"gives a tensor \(1,\) for logits \(1, 3\)"),
    ],
)
def test_a_loss_that_cannot_be_trained_with_is_refused_before_anything_is_written(
    data: Data, tmp_path: Path, loss: str, args: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        train(make(data, tmp_path, loss=loss, loss_args=args))
    assert not (tmp_path / "run").exists()


def test_the_program_answers_mistakes_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "c.yaml").write_text("bse_lr: 1\n")
    assert program.main(["--config", str(tmp_path / "c.yaml")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "base_lr" in error
    assert "Traceback" not in error


def test_float16_trains_with_scaled_gradients_and_goes_on(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a GPU without bfloat16 does it."""
    monkeypatch.setattr("processor.runtime.device.computes_in", lambda device, precision: True)
    settings: dict[str, Any] = {"precision": "float16", "max_grad_norm": 1.0, "num_epoch": 2}
    train(make(data, tmp_path, work_dir=tmp_path / "whole", **settings))
    train(make(data, tmp_path, **{**settings, "num_epoch": 1}))
    scale = read_checkpoint(tmp_path / "run" / "last.pt")["scaler"]
    assert scale["scale"] == 2.0**16
    train(make(data, tmp_path, resume="auto", **settings))
    a, b = (read_checkpoint(tmp_path / run / "last.pt") for run in ("whole", "run"))
    assert a["scaler"] == b["scaler"]
    exact = train(make(data, tmp_path, work_dir=tmp_path / "exact", num_epoch=2, max_grad_norm=1.0))
    half = load_scores(tmp_path / "whole" / "test_score.npz")
    assert np.abs(half.scores - exact.scores).max() < 0.2 * np.abs(exact.scores).max()


def test_only_a_gpu_computes_in_float16() -> None:
    cpu = torch.device("cpu")
    assert effective_precision(cpu, "float16") == "float32"
    assert effective_precision(torch.device("cuda"), "float16") == "float16"
    assert not gradient_scaler(cpu, effective_precision(cpu, "float16")).is_enabled()
