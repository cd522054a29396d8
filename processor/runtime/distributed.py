"""Several processes, one run: started by `torchrun` (or `--device 0 1`), each with a replica of the model.

A batch of every process makes a step, so that N processes with batches of B do what one does with batches of N·B. The
process of rank 0 alone writes. Alone, a process is of rank 0 in a world of 1, and nothing here communicates.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

from model.layers.norm import TokenNorm
from processor.runtime.processes import started

PATIENCE = timedelta(minutes=30)  # for another process: it may be preparing data
GRACE = 10.0  # seconds in which a signal to stop reaches all processes of a run


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes the run has."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    """This process's number on its machine."""
    return int(os.environ.get("LOCAL_RANK", 0)) if started() else 0


@contextmanager
def process_group() -> Iterator[None]:
    """Inside, the processes that a launcher started are one group; without a launcher nothing happens."""
    global _store
    if not started():
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    _store, number, size = next(dist.rendezvous("env://", timeout=PATIENCE))
    dist.init_process_group(backend, store=_store, rank=number, world_size=size, timeout=PATIENCE)
    yield
    dist.destroy_process_group()  # not after an error: others may be waiting for this process, and it for them


_store: Any = None  # what all processes can read and write, also when one of them has ended
all_stop = threading.Event()  # set when the processes have told each other that the run is to stop


def leave_unless_all_stop(number: int) -> None:
    """Ends this process, in a while, unless the signal to stop came to all processes of the run.

    A launcher stops the others when one of them has ended. They cannot save, for that takes all of them, and they may
    not come to notice before the launcher kills them.
    """

    def watch() -> None:
        try:
            _store.add("stopping", 1)
            if all_stop.wait(GRACE) or _store.add("stopping", 0) >= world():
                return
        except RuntimeError:  # the store is of a process that has ended
            pass
        sys.stderr.write(f"process {rank()}: another process of the run has ended, and its message says why\n")
        for worker in multiprocessing.active_children():
            worker.kill()
        os._exit(128 + number)

    threading.Thread(target=watch, daemon=True).start()


def launch(program: Path, argv: Sequence[str], number: int) -> int:
    """Runs the program in so many processes of this machine, by `torchrun`; one that fails ends them all.

    Returns:
        The exit status of the first that failed, or 0.
    """
    os.environ.setdefault("PET_SIGNALS_TO_HANDLE", "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1,SIGUSR2")  # its option
    try:
        torchrun(["--standalone", "--nproc-per-node", str(number), str(program), *argv])
    except ChildFailedError as error:
        first_to_fail, failure = error.get_first_failure()
        status = failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
        sys.stderr.write(f"process {first_to_fail} of the run ended with status {status}; the others were stopped\n")
        return status
    except SignalException as stopped:
        return 128 + stopped.sigval
    return 0


def gather(x: Any) -> list[Any]:
    """`x` of every process, by rank."""
    found: list[Any] = [None] * world()
    if world() == 1:
        return [x]
    dist.all_gather_object(found, x)
    return found


def first(x: Any) -> Any:
    """`x` of the process of rank 0."""
    content = [x]
    if world() > 1:
        dist.broadcast_object_list(content)
    return content[0]


def maximum(*numbers: int) -> list[int]:
    """The highest of each number among all processes."""
    highest = torch.tensor(numbers)
    if world() > 1:
        dist.all_reduce(highest, dist.ReduceOp.MAX)
    return highest.tolist()


def wait() -> None:
    """Until all processes are here."""
    maximum(0)  # of no numbers nothing would be exchanged


@contextmanager
def one_by_one() -> Iterator[None]:
    """One process of each machine is inside first, and then the others: what it makes, they find."""
    if local_rank():
        wait()
    yield
    if not local_rank():
        wait()


def replica(model: nn.Module, device: torch.device) -> nn.Module:
    """`model`, whose gradients become the mean of all processes' in backward."""
    if world() == 1:
        return model
    devices = [device] if device.type == "cuda" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # a new name that older versions of torch do not know
        return nn.parallel.DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)


def averaging(model: nn.Module, *, when: bool) -> AbstractContextManager[None]:
    """Backward inside averages gradients, where `model` is a `replica`, or leaves them to the next time."""
    return nullcontext() if when or not isinstance(model, nn.parallel.DistributedDataParallel) else model.no_sync()


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:
        return _Total.apply(grad[0])  # which has a derivative itself


def synchronise_batch_norm(model: nn.Module) -> None:
    """The statistics of all batch norms in training become those of all processes' batches."""
    for module in model.modules() if world() > 1 else ():
        if isinstance(module, TokenNorm):
            module.total = _Total.apply


@torch.no_grad()
def agree(model: nn.Module) -> None:
    """The running statistics of all processes become their mean."""
    for name, buffer in model.named_buffers() if world() > 1 else ():
        if name.endswith((".running_mean", ".running_var")):
            dist.all_reduce(buffer)
            buffer /= world()
