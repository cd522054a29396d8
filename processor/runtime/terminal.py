"""Prints log lines on the terminal, whatever logging was configured before the program was called."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_gen.common.command_line import printing_anything
from graph.common.files import ROOT

log = logging.getLogger(__name__)

PACKAGES = ("processor", "feeders", "model", "graph", "data_gen")


@contextmanager
def spoken() -> Iterator[None]:
    """Prints log lines of the block once, as bare text; afterwards logging is configured as before.

    A notebook or another program may have configured logging. Ours replaces its handlers that print; others, such as
    its log files, get our lines too. Its levels and disabled loggers do not count in the block.
    """
    root = logging.getLogger()
    ours = [logger for name, logger in list(root.manager.loggerDict.items()) if name.split(".")[0] in PACKAGES]
    loggers = [root, *(logger for logger in ours if isinstance(logger, logging.Logger))]
    before = [(logger, logger.level, logger.disabled, logger.propagate, list(logger.handlers)) for logger in loggers]
    disabled, raises = root.manager.disable, logging.raiseExceptions
    logging.raiseExceptions = False  # a pipe that closed (`| head`) costs its lines, and prints no tracebacks
    for logger in loggers:
        logger.handlers = [handler for handler in logger.handlers if not _prints(handler)]
        logger.disabled = False
        if logger is not root:
            logger.level, logger.propagate = logging.NOTSET, True
    printing = logging.StreamHandler(sys.stdout)
    printing.setFormatter(logging.Formatter("%(message)s"))
    printing.setLevel(logging.INFO)
    root.addHandler(printing)
    root.setLevel(min(root.level, logging.INFO))
    logging.disable(logging.NOTSET)
    try:
        with printing_anything(), _plain_warnings():
            yield
    finally:
        logging.disable(disabled)
        logging.raiseExceptions = raises
        for logger, level, was_disabled, propagate, handlers in before:
            logger.handlers, logger.disabled, logger.propagate = handlers, was_disabled, propagate
            logger.setLevel(level)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Inside, warnings of this project are log lines, without the line of code that Python adds."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def shown(message: Warning | str, category: type[Warning], filename: str, *args: Any, **options: Any) -> None:
            ours = any(Path(filename).is_relative_to(ROOT / name) for name in PACKAGES)
            if ours and category is UserWarning:
                log.warning("%s", message)
            else:
                show(message, category, filename, *args, **options)

        warnings.showwarning = shown
        yield


def _prints(handler: logging.Handler) -> bool:
    terminals = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return isinstance(handler, logging.StreamHandler) and handler.stream in terminals
