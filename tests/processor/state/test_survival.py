"""Whatever ends a run, the next one goes on from the newest sound checkpoint to the same weights."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import MODEL, Data, make, run_test, train, write_data
from short import Model
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from processor.config.schema import Config
from processor.engine import train as engine
from processor.runtime.device import set_random_state
from processor.state.checkpoint import Checkpoints, DamagedError, State, read_checkpoint

resource = pytest.importorskip("resource", reason="signals and forks are those of POSIX")


@pytest.fixture(scope="module")
def context() -> Any:
    """Processes that are there at once, with torch and the compiler that its optimisers import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["processor.engine.train", "short", "torch._dynamo"])
    return context


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return write_data(tmp_path_factory.mktemp("data"))


def config_of(data: Data, folder: Path, **changes: Any) -> Config:
    return make(
        data, folder, work_dir=folder, accumulation=1, batch_size=3, resume="auto", lr_schedule="multi-step",
        **{"num_epoch": 3, **changes},
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run of three epochs."""
    folder = tmp_path_factory.mktemp("whole")
    train(config_of(data, folder))
    return folder


@pytest.fixture(scope="module")
def begun(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs of the same, which have a last checkpoint and the one before."""
    folder = tmp_path_factory.mktemp("begun")
    train(config_of(data, folder, num_epoch=2))
    return folder


@pytest.fixture
def run_of_two(begun: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(begun, tmp_path / "run"))


def run(config: Config, begun: Any, limit: int) -> None:
    """What a process does; `begun` is set when it trains, `limit` are the bytes that a file may have, 0: any."""
    torch.set_num_threads(1)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    step = engine.step
    engine.step = lambda *args, **settings: (begun.set(), step(*args, **settings))[1]  # type: ignore
    try:
        train(config)
    except engine.StoppedError as stopped:
        os._exit(128 + stopped.signal)
    except Exception as error:  # torch's own may follow the one of the disk
        os._exit(77 if OSError in map(type, (error, error.__context__)) else 1)


def start(context: Any, config: Config, limit: int = 0) -> Any:
    begun = context.Event()
    process = context.Process(target=run, args=(config, begun, limit))
    process.start()
    while process.is_alive() and not begun.wait(0.1):
        pass
    return process


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = read_checkpoint(folder / "last.pt")["model"]
    return state


def same(a: Path, b: Path) -> bool:
    x, y = weights(a), weights(b)
    return all(torch.equal(x[name], y[name]) for name in x)


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_at_any_moment_ends_with_the_same_weights(
    context: Any, data: Data, tmp_path: Path, kills: int
) -> None:
    train(config_of(data, tmp_path / "whole", num_epoch=kills))
    folder = tmp_path / "killed"
    config = config_of(data, folder, num_epoch=kills, checkpoint_minutes=1e-9)  # after each step: kills meet saves
    rng, moments = random.Random(kills), []
    while len(moments) < kills:
        process = start(context, config)
        process.join(0.2 * rng.random())
        while process.is_alive() and not (folder / "last.pt").exists() and not moments:
            time.sleep(0.001)
        assert process.is_alive(), "done before its time to die"
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        moments.append(max(read_checkpoint(path)["step"] for path in folder.glob("*.pt")))
    train(config)
    assert same(tmp_path / "whole", folder)
    assert moments == sorted(moments)
    assert len(set(moments)) > kills / 4


def test_a_run_that_is_asked_to_stop_saves_where_it_is(
    context: Any, data: Data, undisturbed: Path, tmp_path: Path
) -> None:
    config = config_of(data, tmp_path)
    process = start(context, config)
    while not (tmp_path / "last.pt").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    process.join()
    assert process.exitcode == 128 + signal.SIGTERM
    assert 8 <= read_checkpoint(tmp_path / "last.pt")["step"] < 27
    train(config)
    assert same(undisturbed, tmp_path)


@pytest.mark.parametrize("damage", ["a bit", "cut", "gone", "empty"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(
    data: Data, undisturbed: Path, run_of_two: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = run_of_two / "last.pt"
    content = bytearray(path.read_bytes())
    content[content.index(read_checkpoint(path)["model"]["fcn.weight"].numpy().tobytes())] ^= 16
    if damage == "gone":  # killed between two renames
        path.unlink()
    else:
        path.write_bytes({"a bit": bytes(content), "cut": bytes(content[:-1000]), "empty": b""}[damage])
    caplog.set_level("INFO")
    train(config_of(data, run_of_two))
    assert ("is damaged" in caplog.text) == (damage != "gone")
    assert "resumed after epoch 2 and 0 samples" in caplog.text
    assert same(undisturbed, run_of_two)


def test_without_a_sound_checkpoint_nothing_is_begun_anew(data: Data, run_of_two: Path) -> None:
    for path in run_of_two.glob("*.pt"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"resume: no checkpoint in .* is sound; begin again with --overwrite"):
        train(config_of(data, run_of_two))


def test_a_full_disk_leaves_the_checkpoints_that_are_there(context: Any, data: Data, run_of_two: Path) -> None:
    before = {path.name: path.read_bytes() for path in run_of_two.glob("*.pt")}
    process = start(context, config_of(data, run_of_two), limit=100_000)
    process.join()
    assert process.exitcode == 77
    assert {path.name: path.read_bytes() for path in run_of_two.glob("*.pt")} == before
    assert not list(run_of_two.glob("*.tmp"))


def test_a_checkpoint_of_something_else_is_refused(begun: Path, tmp_path: Path) -> None:
    good = read_checkpoint(begun / "last.pt")
    model = Model(**MODEL)
    for key, value in (
        ("model", 3),
        ("optimizer", []),
        ("epoch", "many"),
        ("generator", torch.zeros(3)),
        ("step", None),
    ):
        torch.save({**good, key: value}, tmp_path / "forged.pt")
        with pytest.raises(DamagedError, match="does not hold what a run saves"):
            State(model, torch.optim.AdamW(model.parameters())).load(tmp_path / "forged.pt")


def test_the_checkpoint_that_a_run_goes_on_from_is_not_replaced_by_a_damaged_one(
    run_of_two: Path,
) -> None:
    (run_of_two / "last.pt").write_bytes(b"")
    model = Model(**MODEL)
    state = State(model, torch.optim.AdamW(model.parameters()))
    state.load_newest(run_of_two)
    assert read_checkpoint(run_of_two / "last.pt")["evaluated"] == 1  # saved before the evaluation
    assert not (run_of_two / "previous.pt").exists()


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(116, "Stale file handle"), torch.OutOfMemoryError("no room"),
              RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")]
)  # fmt: skip
def test_what_is_no_fault_of_the_checkpoint_costs_none(
    data: Data, run_of_two: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    before = {path.name: path.read_bytes() for path in run_of_two.glob("*.pt*")}
    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(type(error)):
        train(config_of(data, run_of_two))
    assert {path.name: path.read_bytes() for path in run_of_two.glob("*.pt*")} == before


def test_a_damaged_checkpoint_is_kept_under_another_name(data: Data, run_of_two: Path) -> None:
    (run_of_two / "last.pt.damaged").write_bytes(b"an older one")
    (run_of_two / "last.pt").write_bytes(b"half")
    train(config_of(data, run_of_two))
    assert (run_of_two / "last.pt.damaged").read_bytes() == b"an older one"
    assert (run_of_two / "last.pt.damaged2").read_bytes() == b"half"
    assert read_checkpoint(run_of_two / "last.pt")["epoch"] == 3


@pytest.mark.parametrize("part", ["exp_avg", "zip", "keys"])
def test_what_proves_damage(data: Data, run_of_two: Path, part: str) -> None:
    path = run_of_two / "last.pt"
    content = read_checkpoint(path)
    if part == "exp_avg":
        content["optimizer"]["state"][0]["exp_avg"] = torch.zeros(3, 7)
    elif part == "keys":
        del content["optimizer"]["state"]
    torch.save(content, path)
    if part == "zip":  # a flipped byte in a tensor, which torch does not notice
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
    train(config_of(data, run_of_two))
    assert (run_of_two / "last.pt.damaged").is_file()


def test_random_numbers_of_another_device_are_no_damage(caplog: pytest.LogCaptureFixture) -> None:
    set_random_state(torch.device("mps"), torch.zeros(3, dtype=torch.uint8))
    assert "the random numbers of mps begin anew" in caplog.text


def test_a_test_takes_the_checkpoint_that_a_kill_left(data: Data, run_of_two: Path) -> None:
    expected = run_test(replace(config_of(data, run_of_two), resume=None))
    (run_of_two / "last.pt").unlink()  # killed between two renames
    np.testing.assert_array_equal(run_test(replace(config_of(data, run_of_two), resume=None)).scores, expected.scores)


def test_an_evaluation_that_fails_costs_no_epoch(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    x = np.load(data["val"]["data_path"])
    x[3] = np.nan
    np.save(tmp_path / "nan.npy", x)
    config = config_of(data, tmp_path / "run", test_feeder_args={**data["val"], "data_path": str(tmp_path / "nan.npy")})
    with pytest.raises(ValueError, match=r"nan\.npy: the sample 'val3' holds NaN or infinity"):
        train(config)
    assert caplog.text.count("could not be evaluated, training goes on") == 2
    assert read_checkpoint(tmp_path / "run" / "last.pt")["epoch"] == 3
    undisturbed = train(config_of(data, tmp_path / "run"))  # with sound samples
    assert np.isfinite(undisturbed.scores).all()

    def fail(*_: Any) -> None:
        raise RuntimeError("cannot be drawn")

    monkeypatch.setattr("processor.results.report.write_report", fail)
    train(config_of(data, tmp_path / "run", num_epoch=4))
    assert "pictures could not be written, the scores are: RuntimeError: cannot be drawn" in caplog.text


def test_events_have_one_axis_and_nothing_twice(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed in each epoch in turn, and a complete one that is resumed."""
    save, killed = Checkpoints.save, []

    def save_and_die(self: Checkpoints, state: State) -> None:
        save(self, state)
        if state.evaluated < state.epoch and state.epoch not in killed:  # trained, and not evaluated yet
            killed.append(state.epoch)
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save", save_and_die)
    config = config_of(data, tmp_path, num_epoch=3, show_topk=[1])
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            train(config)
    for _ in range(2):
        train(config)
    events = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0})
    events.Reload()
    steps = {tag: [event.step for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert set(steps) == {"train/loss", "train/top1", "train/lr", "test/loss", "test/top1"}
    assert all(numbers == sorted(set(numbers)) for numbers in steps.values()), steps
    assert steps["train/loss"] == list(range(1, 25))
    assert steps["test/top1"] == steps["test/loss"] == [8, 16, 24]
    for tag in ("train/top1", "test/top1"):
        assert all(0 <= event.value <= 1 for event in events.Scalars(tag))
