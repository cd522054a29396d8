"""Several processes, one run: started by `torchrun` (or `--device 0 1`), each with a replica of the model.

Each step takes a batch of every process, so that N processes with batches of B do what one does with batches of N·B.
The process of rank 0 alone writes files. A process without others has rank 0 and world size 1, and exchanges nothing.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun
from torch.nn.modules.batchnorm import _BatchNorm

from processor.runtime.failure import OTHER
from processor.runtime.processes import leave, rank, started

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=30)  # how long a process waits for the others, which may be preparing data
GRACE = 10.0  # seconds in which a signal to stop reaches all processes of a run


def world() -> int:
    """The world size: how many processes the run has."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    """The number of this process on its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", 0)) if started() else 0


def on_rank_0(write: Callable[P, None]) -> Callable[P, None]:
    """Makes `write` do nothing in processes of another rank: what writes into the folder of a run is decorated."""

    @wraps(write)
    def write_on_rank_0(*args: P.args, **kwargs: P.kwargs) -> None:
        if rank() == 0:
            write(*args, **kwargs)

    return write_on_rank_0


def from_rank_0(find: Callable[[], T]) -> T:
    """What `find` returns in the process of rank 0, which alone calls it, for all processes."""
    content: list[Any] = [find() if rank() == 0 else None]
    if world() > 1:
        dist.broadcast_object_list(content)
    return content[0]


@contextmanager
def process_group() -> Iterator[None]:
    """Initialises the process group under torchrun, and destroys it at the end; else it does nothing."""
    global _store
    if not started():
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    _store, number, size = next(dist.rendezvous("env://", timeout=PATIENCE))
    dist.init_process_group(backend, store=_store, rank=number, world_size=size, timeout=PATIENCE)
    yield
    dist.destroy_process_group()  # not after an error: others may be waiting for this process, and it for them


_store: Any = None  # of torchrun: all processes can read and write it, also when one of them has ended
all_stop = threading.Event()  # set when all processes know that the run is to stop


def leave_unless_all_stop(number: int) -> None:
    """Ends this process after `GRACE` seconds, unless the signal to stop came to all processes of the run.

    When one process has ended, torchrun sends the others a signal to stop, and kills them later. They cannot save, for
    saving takes all processes, and may be waiting for the one that has ended.
    """

    def watch() -> None:
        try:
            _store.add("stopping", 1)
            if all_stop.wait(GRACE) or _store.add("stopping", 0) >= world():
                return
        except RuntimeError:  # the store is of a process that has ended
            pass
        sys.stderr.write(f"process {rank()}: {OTHER}\n")
        leave(128 + number)

    threading.Thread(target=watch, daemon=True).start()


def launch(program: Path, argv: Sequence[str], number: int) -> int:
    """Runs the program in `number` processes of this machine, by `torchrun`; one that fails ends them all.

    Returns:
        The exit status of the first that failed, or 0.
    """
    os.environ.setdefault("PET_SIGNALS_TO_HANDLE", "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1,SIGUSR2")  # its option
    with tempfile.TemporaryDirectory() as logs:  # torchrun would leave its folder behind
        try:
            torchrun(["--standalone", "--log-dir", logs, "--nproc-per-node", str(number), str(program), *argv])
        except ChildFailedError as error:
            first_to_fail, failure = error.get_first_failure()
            status = failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
            sys.stderr.write(
                f"process {first_to_fail} of the run ended with status {status}; the others were stopped\n"
            )
            return status
        except SignalException as stopped:
            return 128 + stopped.sigval
    return 0


def gather(x: T) -> list[T]:
    """`x` of every process, by rank."""
    of_all: list[Any] = [x] * world()
    if world() > 1:
        dist.all_gather_object(of_all, x)
    return of_all


def maximum(*numbers: int) -> list[int]:
    """The highest of each number among all processes."""
    highest = torch.tensor(numbers)
    if world() > 1:
        dist.all_reduce(highest, dist.ReduceOp.MAX)
    return highest.tolist()


def wait() -> None:
    """Returns when all processes have called it."""
    maximum(0)  # of no numbers nothing would be exchanged


@contextmanager
def one_by_one() -> Iterator[None]:
    """The first process of each machine runs the block before the others do, which find the files that it made."""
    if local_rank():
        wait()
    yield
    if not local_rank():
        wait()


def replica(model: nn.Module, device: torch.device) -> nn.Module:
    """`model` as DDP, whose backward averages gradients over all processes; `model` itself where there is one."""
    if world() == 1:
        return model
    devices = [device] if device.type == "cuda" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # a new name that older versions of torch do not know
        return nn.parallel.DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)


def accumulating(model: nn.Module) -> AbstractContextManager[None]:
    """Backward in the block accumulates gradients, and does not average them over processes."""
    return model.no_sync() if isinstance(model, nn.parallel.DistributedDataParallel) else nullcontext()


class _Total(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of the gradients of all processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:
        return _Total.apply(grad[0])  # which has a derivative itself


class SynchronisedBatchNorm(_BatchNorm):
    """Batch norm (N, C, ...) whose statistics in training are those of the batches of all processes, on a CPU too.

    Two sums are exchanged: the mean, and then the variance around it.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        axes, shape = [axis for axis in range(x.dim()) if axis != 1], [1, -1, *[1] * (x.dim() - 2)]
        sums = _Total.apply(torch.cat([wide.sum(dim=axes), wide.new_full((1,), x.numel() // x.shape[1])]))
        mean, number = sums[:-1] / sums[-1], sums[-1]
        centred = wide - mean.view(shape)
        variance = _Total.apply(centred.square().sum(dim=axes)) / number
        self._follow(mean, variance * number / (number - 1))
        scale = (variance + self.eps).rsqrt()
        y = centred * (scale if self.weight is None else self.weight * scale).view(shape)
        return (y if self.bias is None else y + self.bias.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Moves the running statistics, where there are some, towards those of a batch."""
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        if self.running_mean is not None and self.running_var is not None:
            momentum: Any = self.momentum
            if momentum is None:  # the mean of all batches
                momentum = 1 / self.num_batches_tracked.to(self.running_mean.dtype)  # type: ignore[union-attr]
            for running, batch in ((self.running_mean, mean), (self.running_var, variance)):
                running.lerp_(batch.to(running.dtype), momentum)


def synchronise_batch_norm(model: nn.Module) -> None:
    """Makes all batch norms train with the statistics of the batches of all processes.

    Those of a class that has a forward of its own stay as they are, with a warning; torch's `SyncBatchNorm`, which
    does the same on GPUs, stays, too.
    """
    for name, module in model.named_modules() if world() > 1 else ():
        kind = type(module)
        if not isinstance(module, _BatchNorm) or issubclass(kind, nn.SyncBatchNorm | SynchronisedBatchNorm):
            continue
        if kind.forward is not _BatchNorm.forward:
            log.warning("sync_batch_norm: %s has a forward of its own, and keeps the statistics of each process", name)
            continue
        # another class with the same parameters, buffers and hooks
        module.__class__ = type(kind.__name__, (SynchronisedBatchNorm, kind), {})


@torch.no_grad()
def average_statistics(model: nn.Module) -> None:
    """Gives the batch norms of all processes the mean of their running statistics."""
    for name, buffer in model.named_buffers() if world() > 1 else ():
        if name.endswith((".running_mean", ".running_var")):
            dist.all_reduce(buffer)
            buffer /= world()
