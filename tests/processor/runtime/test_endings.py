"""Whatever fails, the program ends: with a status, one sentence, the traceback in its log, no process left behind."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faulty import Feeder
from runs import MODEL, PYTHONPATH, Data, make, write_data
from short import Model

import main as program
from processor.config.schema import Config, resolved
from processor.engine.data import Loader
from processor.runtime.failure import is_expected, sentence

ROOT = Path(program.__file__).parent
LIMIT = 20  # seconds in which a failing run ends
MISTAKE = "RuntimeError: a broken sample"
SAID = {  # of each fault, as the user reads it
    "error": MISTAKE,
    "value": "ValueError: operands could not be broadcast together",
    "memory": "this machine's memory ran out; take a smaller --batch_size",
    "killed": "a process that loads data was ended from outside",
    "exit": "a process that loads data was ended from outside",
}

if sys.platform != "linux":
    pytest.skip("processes are looked for in /proc", allow_module_level=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return write_data(tmp_path_factory.mktemp("data"))


def failing(data: Data, tmp_path: Path, *, part: str, **changes: Any) -> Config:
    """A run whose feeder of `part` is broken."""
    config = make(data, tmp_path, feeder="faulty.Feeder", num_epoch=3, show_topk=[1], **changes)
    key = f"{part}_feeder_args"
    return replace(config, **{key: {**getattr(config, key), "broken": True}})


def start(config: Config, *words: str, processes: int = 1, **environment: str) -> subprocess.Popen[str]:
    """The program in a session of its own."""
    file = config.work_dir.with_suffix(".yaml")
    file.write_text(resolved(config), encoding="utf-8")
    logs = str(config.work_dir.with_name("logs"))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--log-dir", logs, "--nproc-per-node", str(processes)]
    return subprocess.Popen(
        [sys.executable, *(launcher if processes > 1 else []), str(ROOT / "main.py"), "--config", str(file), *words],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PYTHONPATH, **environment},
    )  # fmt: skip


def left_behind(session: int) -> list[str]:
    """The processes of a session that are not just waiting to be counted."""
    numbers = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = path.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(its_session) == session and state != "Z":
            numbers.append(path.parent.name)
    return numbers


def ended(run: subprocess.Popen[str], limit: float) -> str:
    """What it said; it must end in time and leave nothing."""
    try:
        said, _ = run.communicate(timeout=limit)
        deadline = time.monotonic() + 6  # workers of a killed process look after it every five seconds
        while left_behind(run.pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left_behind(run.pid)
        return said
    finally:
        for process in left_behind(run.pid):
            os.kill(int(process), signal.SIGKILL)


def told(said: str, config: Config, fault: str) -> None:
    """One sentence, and the traceback where it says."""
    errors = [line for line in said.splitlines() if line.startswith(("error:", "process 1: error:"))]
    assert len(errors) == 1, said
    assert SAID[fault] in errors[0]
    assert errors[0].endswith(f"the traceback is in {config.work_dir / 'log.txt'}")
    if fault not in ("killed", "exit"):  # what multiprocessing says of a pipe whose other end is gone is not ours
        assert "Traceback" not in said
    assert "Traceback" in (config.work_dir / "log.txt").read_text(encoding="utf-8")


SMALL = {**MODEL, "channels": [4, 4, 8], "Nh": 1, "dk": 1.0}


def slow(*values: object) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


CASES = [  # phase, the part that is broken, the fault, workers
    ("train", "train", "error", 2),
    *(
        slow(phase, part, fault, workers)
        for phase, part in (("train", "train"), ("train", "test"), ("test", "test"), ("benchmark", "test"))
        for fault, workers in (
            *[("error", n) for n in (0, 2)], *[("value", n) for n in (0, 2)], *[("memory", n) for n in (0, 2)],
            ("killed", 2), ("exit", 2),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("phase", "part", "fault", "workers"), CASES)
def test_a_fault_ends_the_run(data: Data, tmp_path: Path, phase: str, part: str, fault: str, workers: int) -> None:
    config = failing(data, tmp_path, part=part, num_worker=workers, model_args=SMALL)
    words = ["--phase", phase]
    if phase == "test":
        torch.save({"model": Model(**SMALL).state_dict()}, tmp_path / "w.pt")
        words += ["--weights", str(tmp_path / "w.pt")]
    run = start(config, *words, FAULT=fault)
    said = ended(run, LIMIT + 10)  # with the time that Python takes to start
    assert run.returncode == 1
    told(said, config, fault)
    if (phase, part) == ("train", "test"):  # evaluations failed, no epoch is lost
        assert said.count("could not be evaluated, training goes on") == 2
        assert torch.load(config.work_dir / "last.pt")["epoch"] == 3


@pytest.mark.parametrize("workers", [slow(2), slow(0)])
def test_a_users_model_that_fails_ends_the_run(data: Data, tmp_path: Path, workers: int) -> None:
    config = make(data, tmp_path, model="faulty.Model", num_worker=workers, model_args=SMALL, show_topk=[1])
    run = start(config, FAULT="error")
    said = ended(run, LIMIT + 10)
    assert run.returncode == 1
    told(said, config, "error")
    assert "faulty.py, line" in said


@pytest.mark.parametrize(
    ("part", "fault", "workers"),
    [slow("train", "error", 1), slow("train", "killed", 2), slow("train", "error", 0), slow("test", "memory", 2)],
)
def test_a_process_that_fails_ends_the_others(data: Data, tmp_path: Path, part: str, fault: str, workers: int) -> None:
    config = failing(data, tmp_path, part=part, num_worker=workers, model_args=SMALL, batch_size=3)
    run = start(config, processes=2, FAULT=fault)
    said = ended(run, 2 * LIMIT)
    assert run.returncode == 1
    assert SAID[fault] in said
    assert "Traceback" in (config.work_dir / "log.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["SIGUSR1", *map(slow, ("SIGTERM", "SIGUSR2", "SIGHUP", "SIGINT"))])
def test_a_signal_saves_and_stops(data: Data, tmp_path: Path, name: str) -> None:
    config = make(
        data, tmp_path, num_worker=2, model_args=SMALL, num_epoch=1000, save_interval=1000, eval_interval=1000
    )
    run = start(config)
    assert run.stdout is not None
    for line in run.stdout:
        if "epoch 2 of" in line:
            os.killpg(run.pid, getattr(signal, name))  # as a terminal or Slurm does: workers get it, too
            break
    said = ended(run, LIMIT)
    assert run.returncode == 128 + getattr(signal, name)
    assert f"stopped by {name} " in said
    assert "go on with --resume auto" in said
    assert torch.load(config.work_dir / "last.pt")["step"] >= 4


@pytest.mark.parametrize("phase", [slow("test"), slow("benchmark")])
def test_a_signal_stops_where_nothing_is_to_be_saved(data: Data, tmp_path: Path, phase: str) -> None:
    config = make(data, tmp_path, num_worker=2, model_args=SMALL, feeder="faulty.Feeder")
    config = replace(config, test_feeder_args={**config.test_feeder_args, "broken": True})
    torch.save({"model": Model(**SMALL).state_dict()}, tmp_path / "w.pt")
    run = start(
        config, "--phase", phase, *(["--weights", str(tmp_path / "w.pt")] if phase == "test" else []), FAULT="busy"
    )
    deadline = time.monotonic() + 30
    while len(left_behind(run.pid)) < 3 and time.monotonic() < deadline:  # until workers are there
        time.sleep(0.05)
    time.sleep(1)
    os.killpg(run.pid, signal.SIGTERM)
    said = ended(run, LIMIT)
    assert run.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (lambda: RuntimeError("unable to write to file </torch_12_34>: No space left on device (28)"), "/dev/shm"),
        (
            lambda: RuntimeError("DataLoader worker (pid 3) is killed by signal: Bus error. It is possible that"),
            "/dev/shm",
        ),
        (
            lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
            "memory ran",
        ),
        (lambda: MemoryError(), "memory ran out"),
        (lambda: torch.OutOfMemoryError("CUDA out of memory"), "the device's memory ran out"),
        (lambda: OSError(28, "No space left on device", "x.npy"), "x.npy: the disk is full"),
        (lambda: OSError(24, "Too many open files"), "ulimit -n"),
        (
            lambda: RuntimeError("[/pytorch/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1"),
            "another",
        ),
        (lambda: ModuleNotFoundError("No module named 'torch'", name="torch"), "pip install -r requirements.txt"),
        (lambda: ModuleNotFoundError("No module named 'mine'", name="mine"), "ModuleNotFoundError: No module named"),
        (lambda: KeyError("x"), "KeyError: 'x'"),
    ],
)
def test_what_is_said_of_a_machine_that_lacks_something(error: Callable[[], Exception], said: str) -> None:
    assert said in sentence(error())
    assert "\n" not in sentence(error())


@pytest.mark.parametrize(("file", "expected"), [("model/x.py", True), ("model_of_mine.py", False), ("main.py", True)])
def test_an_error_is_expected_where_this_projects_code_raises_it(file: str, expected: bool) -> None:
    with pytest.raises(ValueError, match="wrong") as caught:
        exec(compile("raise ValueError('wrong')", str(ROOT / file), "exec"))
    assert is_expected(caught.value) is expected


def test_workers_are_ended_whatever_they_are_doing(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT", "busy")
    loader = Loader(Feeder(**data["val"], broken=True), batch_size=1, workers=2, device=torch.device("cpu"))
    batches = loader.epoch(0)
    for _ in range(3):
        next(batches)
    workers = set(loader.workers)
    assert len(workers) == 2
    loader.close()
    assert not any(worker.is_alive() for worker in workers)
    monkeypatch.setenv("FAULT", "none")
    assert len(list(loader.epoch(0))) == 10  # by others
    loader.close()


def test_a_temporary_directory_with_a_long_path_is_refused(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker could not make its socket there, and the run would wait for its batches for ever."""
    monkeypatch.setattr("multiprocessing.util.get_temp_dir", lambda: "/tmp/" + "x" * 90)
    loader = Loader(Feeder(**data["val"]), batch_size=1, workers=1, device=torch.device("cpu"))
    with pytest.raises(ValueError, match=r"TMPDIR: /tmp/x+ is too long a path .* or take --num_worker 0"):
        next(loader.epoch(0))


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits a process that runs")
@pytest.mark.slow
def test_open_files_do_not_grow_with_the_number_of_batches(data: Data, tmp_path: Path) -> None:
    """60 batches of training and evaluation come from a worker, where 48 files may be open."""
    names, labels = [f"s{i}" for i in range(60)], [i % 3 for i in range(60)]
    np.save(tmp_path / "x.npy", np.resize(np.load(data["train"]["data_path"]), (60, 3, 8, 20, 1)))
    (tmp_path / "y.pkl").write_bytes(pickle.dumps((names, labels)))
    args = {"data_path": str(tmp_path / "x.npy"), "label_path": str(tmp_path / "y.pkl")}
    config = make(
        data, tmp_path, num_worker=1, model_args=SMALL, batch_size=1, test_batch_size=1, num_epoch=1, log_interval=1000,
        train_feeder_args=args, test_feeder_args=args, accumulation=1,
    )  # fmt: skip
    run = start(config)
    resource.prlimit(run.pid, resource.RLIMIT_NOFILE, (48, 48))
    said = ended(run, 60)
    assert run.returncode == 0, said
