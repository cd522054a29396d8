"""A program for torchrun: writes the order in which `one_by_one` lets ranks pass, then trains each configuration,
as soon as its file is there."""

from __future__ import annotations

import logging
import sys
import time
from importlib import import_module
from pathlib import Path

from undrawn import UNDRAWN

from processor.config.schema import load_study
from processor.engine import study
from processor.runtime import distributed
from processor.runtime.terminal import spoken


def run(order: str, *files: str) -> None:
    with spoken(), distributed.process_group():
        if distributed.rank():
            logging.getLogger().setLevel(logging.ERROR)
        with distributed.one_by_one():
            time.sleep(0 if distributed.rank() else 2)
            with Path(order).open("a", encoding="utf-8") as file:
                file.write(f"{distributed.rank()}")
        for name, instead in UNDRAWN.items():
            module, _, function = name.rpartition(".")
            setattr(import_module(module), function, instead)
        for name in files:
            while not Path(name).is_file():
                time.sleep(0.1)
            study.run(load_study(["--config", name]))


if __name__ == "__main__":
    run(*sys.argv[1:])
