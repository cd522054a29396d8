"""Train or test a model: `python main.py --config config/demo/train.yaml [--key value ...]`.

Several processes, a GPU each: `--device 0 1`, or `torchrun --nproc-per-node 2 main.py --config ...`.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from logging.handlers import MemoryHandler
from pathlib import Path

import torch

from processor.config.schema import Config, load_config
from processor.engine.folds import cross_validate, of_fold
from processor.engine.train import test, train
from processor.results.work_dir import log_failure
from processor.runtime import distributed
from processor.runtime.device import keep_memory
from processor.runtime.failure import OTHER, is_expected, sentence
from processor.runtime.signals import StoppedError, stop_at_once
from processor.runtime.terminal import spoken
from processor.tools.benchmark import benchmark
from processor.tools.info import info

PHASES: dict[str, Callable[[Config], object]] = {
    "train": lambda config: cross_validate(train, config) if config.folds else train(config),
    "test": lambda config: cross_validate(test, config) if config.folds else test(config),
    "info": info,
    "benchmark": lambda config: benchmark(of_fold(config, config.folds[0]) if config.folds else config),
}


@spoken()
def main(argv: Sequence[str]) -> int:
    """Runs what the command line asks for; returns the exit status."""
    early = MemoryHandler(capacity=10_000, flushLevel=logging.CRITICAL)  # lines for a log file that is not open yet
    logging.getLogger().addHandler(early)
    keep_memory()
    config = None
    try:
        with stop_at_once(), distributed.process_group():
            if distributed.rank():
                logging.getLogger().setLevel(logging.ERROR)
            config = load_config(argv)
            if number := _processes(config):
                return distributed.launch(Path(__file__), argv, number)
            if distributed.world() > 1 and config.phase not in ("train", "test"):
                raise ValueError(f"phase: {config.phase} is for one process; leave torchrun out")
            PHASES[config.phase](config)
    except StoppedError as stopped:
        return _say(f"{stopped}", 128 + stopped.signal)
    except KeyboardInterrupt:
        return _say("interrupted; go on with --resume auto", 130)
    except Exception as error:
        return _say(f"error: {sentence(error)}{_where_to_look(error, config)}", 1)
    finally:
        logging.getLogger().removeHandler(early)
    return 0


def _where_to_look(error: Exception, config: Config | None) -> str:
    """Where the traceback of an error that nobody expected is; without a log it is printed."""
    if is_expected(error):
        return ""
    if config and config.phase != "info" and (path := log_failure(config.work_dir, error)):
        return f"; the traceback is in {path}"
    traceback.print_exception(error)
    return ""


def _processes(config: Config) -> int:
    """How many processes are to be started for GPUs that are named, 0: this one does it."""
    several = isinstance(config.device, list) and len(config.device) > 1 and config.phase in ("train", "test")
    return len(config.device) if several and torch.cuda.is_available() and not distributed.started() else 0


def _say(message: str, status: int) -> int:
    if distributed.rank() or OTHER in message:
        time.sleep(2)  # what concerns all, the first process says; and the one that failed first ends first
    if number := distributed.rank():
        message = f"process {number}: {message}"
    sys.stderr.write(f"{message}\n")
    return status


if __name__ == "__main__":
    status = main(sys.argv[1:])
    if status and distributed.started():  # what Python does at its end may wait for the other processes
        sys.stdout.flush()
        os._exit(status)
    sys.exit(status)
