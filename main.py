"""Train, test or use a model: `python main.py --config config/demo/train.yaml [--key value ...]`.

Several processes, one for each GPU: `--device 0 1`, or `torchrun --nproc-per-node 2 main.py --config ...`.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from itertools import pairwise
from logging.handlers import MemoryHandler
from pathlib import Path

from processor.config.schema import Config, Study, load_study
from processor.runtime.failure import OTHER, is_expected, sentence
from processor.runtime.processes import leave, rank, started
from processor.runtime.signals import StoppedError, stop_at_once
from processor.runtime.terminal import spoken

# torch takes seconds to import, so it is imported after the configuration was checked: help and errors come at once
WITH_OWN_OPTIONS = {  # phases
    "explain": "processor.tools.explain",
    "predict": "processor.tools.predictions",
    "watch": "processor.tools.watch",
    "export": "processor.tools.export",
}


@spoken()
def main(argv: Sequence[str]) -> int:
    """Runs what the command line asks for; returns the exit status."""
    early = MemoryHandler(capacity=10_000, flushLevel=logging.CRITICAL)  # lines for a log file that is not open yet
    logging.getLogger().addHandler(early)
    config = None
    try:
        with stop_at_once(), _process_group():
            if rank():
                logging.getLogger().setLevel(logging.ERROR)
            for phase, module in WITH_OWN_OPTIONS.items():
                if _asks_for(phase, argv):
                    _check_alone(phase)
                    status: int = import_module(module).main(argv)
                    return status
            study = load_study(argv)
            config = study.config
            return _run(study, argv)
    except StoppedError as stopped:
        return _say(f"{stopped}", 128 + stopped.signal)
    except KeyboardInterrupt:
        return _say("interrupted; go on with --resume auto", 130)
    except Exception as error:
        return _say(f"error: {sentence(error)}{_where_to_look(error, config)}", 1)
    finally:
        logging.getLogger().removeHandler(early)


def _asks_for(phase: str, argv: Sequence[str]) -> bool:
    """Whether the command line names this phase, whose options are not those of a run."""
    return f"--phase={phase}" in argv or any(pair == ("--phase", phase) for pair in pairwise(argv))


def _check_alone(phase: str) -> None:
    """Refuses a phase that several processes would each do, and write the same files."""
    if started() and int(os.environ["WORLD_SIZE"]) > 1:
        raise ValueError(f"phase: {phase} is for one process; leave torchrun out")


def _process_group() -> AbstractContextManager[None]:
    """The process group of a run under torchrun."""
    if not started():
        return nullcontext()
    from processor.runtime.distributed import process_group

    return process_group()


def _run(study: Study, argv: Sequence[str]) -> int:
    """Runs the phase of a study, in several processes if it names several GPUs; returns the exit status."""
    import torch

    from processor.engine.jobs import jobs_of
    from processor.engine.study import run
    from processor.runtime import distributed
    from processor.runtime.device import keep_memory

    config = study.config
    is_shared = config.phase in ("train", "test")  # several processes can do it together
    gpus = config.device if isinstance(config.device, list) and is_shared else []
    if len(gpus) > 1 and torch.cuda.is_available() and not started():
        return distributed.launch(Path(__file__), argv, len(gpus))
    if not is_shared:
        _check_alone(config.phase)
    keep_memory()
    if config.phase in WITH_OWN_OPTIONS:
        raise ValueError(f"phase: {config.phase} belongs on the command line; --phase {config.phase} --help shows how")
    if config.phase == "info":
        from processor.tools.info import info

        info(config)
    elif config.phase == "benchmark":
        from processor.tools.benchmark import benchmark

        benchmark(jobs_of(study)[0].config)
    else:
        run(study)
    return 0


def _where_to_look(error: Exception, config: Config | None) -> str:
    """Where the traceback of an unexpected error is; without a log it is printed."""
    if is_expected(error):
        return ""
    if config and config.phase != "info":
        from processor.results.work_dir import log_failure

        if path := log_failure(config.work_dir, error):
            return f"; the traceback is in {path}"
    traceback.print_exception(error)
    return ""


def _say(message: str, status: int) -> int:
    if rank() or OTHER in message:
        signal.signal(
            signal.SIGTERM, signal.SIG_IGN
        )  # torchrun sends it because another process has ended; this one is ending already
        time.sleep(2)  # rank 0 first prints an error of all processes, and the process that failed first ends first
    if number := rank():
        message = f"process {number}: {message}"
    sys.stderr.write(f"{message}\n")
    return status


if __name__ == "__main__":
    status = main(sys.argv[1:])
    if status and started():  # what Python does at its end may wait for the other processes
        leave(status)
    sys.exit(status)
