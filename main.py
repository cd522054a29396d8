"""Train or test a model: `python main.py --config config/demo/train.yaml [--key value ...]`.

Several processes, a GPU each: `--device 0 1`, or `torchrun --nproc-per-node 2 main.py --config ...`.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from logging.handlers import MemoryHandler
from pathlib import Path

import torch

from processor import distributed
from processor.benchmark import benchmark
from processor.config import Config, load_config
from processor.folds import cross_validate, of_fold
from processor.info import info
from processor.runtime import StoppedError, keep_memory
from processor.terminal import spoken
from processor.train import test, train

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
    try:
        with distributed.joined():
            if distributed.rank():
                logging.getLogger().setLevel(logging.ERROR)
            config = load_config(argv)
            if number := _processes(config):
                return distributed.launch(Path(__file__), argv, number)
            if distributed.world() > 1 and config.phase not in ("train", "test"):
                raise ValueError(f"phase: {config.phase} is for one process; leave torchrun out")
            PHASES[config.phase](config)
    except OSError as error:
        return _say(f"error: {f'{error.filename}: {error.strerror}' if error.filename else error}", 1)
    except ValueError as error:
        return _say(f"error: {error}", 1)
    except torch.OutOfMemoryError:
        return _say("error: the device's memory ran out; take a smaller --batch_size and more --accumulation", 1)
    except StoppedError as stopped:
        return _say(f"{stopped}", 128 + stopped.signal)
    except KeyboardInterrupt:
        return _say("interrupted; go on with --resume auto", 130)
    finally:
        logging.getLogger().removeHandler(early)
    return 0


def _processes(config: Config) -> int:
    """How many processes are to be started for GPUs that are named, 0: this one does it."""
    several = isinstance(config.device, list) and len(config.device) > 1 and config.phase in ("train", "test")
    return len(config.device) if several and torch.cuda.is_available() and not distributed.started() else 0


def _say(message: str, status: int) -> int:
    if number := distributed.rank():
        time.sleep(2)  # what concerns all, the first process says, and ends them
        message = f"process {number}: {message}"
    sys.stderr.write(f"{message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
