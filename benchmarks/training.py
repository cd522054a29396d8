# ruff: noqa: E402
"""Memory and speed of training on random input: `python benchmarks/training.py --config config/ntu60_xsub/s-tr.yaml`.

Builds the configuration's model in a process of its own, takes `num_step` steps of SGD with momentum on a batch of
random samples (N, C, T, V, M), then scores it as often, on the CPU in float32. Writes the highest rates, and the peak
memory (resident) of the whole process.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch
from torch.nn import functional as F

from data_gen.command_line import Parser, Report, run
from processor.config import load_config
from processor.config_check import import_object
from processor.data import input_shape


def fastest(step: Callable[[], object], num_step: int) -> float:
    """Seconds of the fastest of some steps."""
    times = []
    for _ in range(num_step):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(config: Path, batch_size: int, num_step: int) -> Report:
    """Train and score a batch."""
    settings = load_config(["--config", str(config)])
    torch.manual_seed(0)
    model = import_object(settings.model)(**settings.model_args)
    x = torch.randn(batch_size, *input_shape(model, settings))
    label = torch.randint(model.options.num_class, (batch_size,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)

    def train() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), label).backward()
        optimizer.step()

    trained = batch_size / fastest(train, num_step)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6 / 1.024)
    with torch.no_grad():
        model.eval()
        scored = batch_size / fastest(lambda: model(x), num_step)
    return Report(
        notes=[
            f"{config}: batch {batch_size} of {tuple(x.shape[1:])}, {torch.get_num_threads()} threads",
            f"training: {trained:.2f} samples/s, peak memory {peak:.2f} GB",
            f"scoring: {scored:.2f} samples/s",
        ]
    )


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and measure."""
    parser = Parser(description=__doc__)
    parser.option("config", type=Path, required=True, help="a configuration")
    parser.option("batch_size", type=int, default=4, help="samples of a step (default: %(default)s)")
    parser.option("num_step", type=int, default=5, help="steps, of which the fastest counts (default: %(default)s)")
    return measure(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    run(main)
