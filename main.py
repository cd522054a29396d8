"""Train or test a model: `python main.py --config config/demo/train.yaml [--key value ...]`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from logging.handlers import MemoryHandler

import torch

from processor.config import Config, load_config
from processor.folds import cross_validate
from processor.info import info
from processor.runtime import StoppedError
from processor.train import test, train

PHASES: dict[str, Callable[[Config], object]] = {
    "train": lambda config: cross_validate(train, config) if config.folds else train(config),
    "test": lambda config: cross_validate(test, config) if config.folds else test(config),
    "info": info,
}


def main(argv: Sequence[str]) -> int:
    """Runs what the command line asks for; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    early = MemoryHandler(capacity=10_000, flushLevel=logging.CRITICAL)  # lines for a log file that is not open yet
    logging.getLogger().addHandler(early)
    try:
        config = load_config(argv)
        PHASES[config.phase](config)
    except OSError as error:
        sys.stderr.write(f"error: {f'{error.filename}: {error.strerror}' if error.filename else error}\n")
        return 1
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except torch.OutOfMemoryError:
        sys.stderr.write("error: the device's memory ran out; take a smaller --batch_size and more --accumulation\n")
        return 1
    except StoppedError as stopped:
        sys.stderr.write(f"{stopped}\n")
        return 128 + stopped.signal
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; go on with --resume auto\n")
        return 130
    finally:
        logging.getLogger().removeHandler(early)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
