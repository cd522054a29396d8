# ruff: noqa: E402
"""Times S-TR, T-TR, ST-TR-1s and ZiT-ZoT beside CTR-GCN, 2s-AGCN and ST-GCN: `python benchmarks/peers.py`.

All models take turns in one run, with the same batch of random numbers of NTU's form (N, 3, T, 25, 2), so that what
slows the machine slows all of them. A training step is forward, backward and a step of SGD with momentum; evaluation is
a forward pass without gradients. Medians over rounds, and how many times as fast as CTR-GCN each model is. The peers
are written plainly (`parts/peer_models.py`); for ours `--compile` and nothing else changes.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.parts.peer_models import agcn, ctr_gcn, st_gcn
from data_gen.common.command_line import Parser, Report, run
from graph.common.files import write_text
from graph.common.words import table
from model import st_tr, zit_zot
from processor.runtime.device import autocast, choose_device, keep_memory
from processor.tools.benchmark import seconds_of

MODELS: dict[str, Callable[[int], nn.Module]] = {  # of so many frames
    "S-TR": lambda T: st_tr.Model(window_size=T),
    "T-TR": lambda T: st_tr.Model(window_size=T, attention=False, tcn_attention=True),
    "ST-TR-1s": lambda T: st_tr.Model(window_size=T, tcn_attention=True),
    "ZiT-ZoT": lambda T: zit_zot.Model(max_T=max(T, 100)),
    "CTR-GCN": lambda _: ctr_gcn(),
    "2s-AGCN": lambda _: agcn(),
    "ST-GCN": lambda _: st_gcn(),
}
OURS = ("S-TR", "T-TR", "ST-TR-1s", "ZiT-ZoT")
PHASES = ("training", "evaluation")


@dataclass
class Case:
    """What is timed: one model, phase, precision and number of frames."""

    model: str
    phase: str
    precision: str
    frames: int
    batch_size: int
    samples_per_s: float = 0.0  # the median of the rounds
    of_ctr_gcn: float = 0.0  # how many times as fast as CTR-GCN: the median of the ratios of the rounds


def random_batch(batch_size: int, frames: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Clips (N, 3, T, 25, 2) and labels (N,) of 60 classes, as those of NTU RGB+D 60."""
    return torch.randn(batch_size, 3, frames, 25, 2, device=device), torch.arange(batch_size, device=device) % 60


def step_of(
    phase: str, model: nn.Module, batch: tuple[Tensor, Tensor], precision: str, *, compiled: nn.Module | None = None
) -> Callable[[], object]:
    """A step of SGD, or in the phase `evaluation` a forward pass without gradients, of the model or `compiled`."""
    x, label = batch
    forward = model if compiled is None else compiled
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, nesterov=True, fused=x.is_cuda)

    def train() -> None:
        model.train()
        with autocast(x.device, precision):
            loss = F.cross_entropy(forward(x).float(), label)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def evaluate() -> None:
        model.eval()
        with torch.no_grad(), autocast(x.device, precision):
            forward(x)

    return train if phase == "training" else evaluate


def compare(
    names: Sequence[str], frames: int, precision: str, batch_size: int, num_round: int, device: torch.device,
    *, compiled: bool = False,
) -> list[Case]:  # fmt: skip
    """Times the models in turns; the first round, in which libraries choose kernels and compile, does not count."""
    torch.manual_seed(0)
    batch = random_batch(batch_size, frames, device)
    steps: dict[tuple[str, str], Callable[[], object]] = {}
    for name in names:
        model = MODELS[name](frames).to(device)
        call = torch.compile(model, dynamic=False) if compiled and name in OURS else None
        steps |= {(name, phase): step_of(phase, model, batch, precision, compiled=call) for phase in PHASES}
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in steps}
    for phase in PHASES:
        turns = [key for key in steps if key[1] == phase]
        for number in range(num_round + 1):
            for key in turns[number % len(turns) :] + turns[: number % len(turns)]:  # nobody is always the first
                seconds[key].append(seconds_of(steps[key], device))
    cases = []
    for (name, phase), times in seconds.items():
        case = Case(name, phase, precision, frames, batch_size)
        case.samples_per_s = batch_size / statistics.median(times[1:])
        if ("CTR-GCN", phase) in seconds:
            pairs = zip(seconds["CTR-GCN", phase][1:], times[1:], strict=True)
            case.of_ctr_gcn = statistics.median(other / time for other, time in pairs)
        cases.append(case)
    return cases


def rows(cases: Sequence[Case]) -> list[str]:
    """The lines of an aligned table, a model a row."""
    columns = list(dict.fromkeys((case.frames, case.precision, case.phase) for case in cases))
    of_place = {(case.model, case.frames, case.precision, case.phase): case for case in cases}
    lines = [["samples/s (times CTR-GCN)", *(f"T={T}, {precision}, {phase}" for T, precision, phase in columns)]]
    for name in dict.fromkeys(case.model for case in cases):
        of_model = [of_place[(name, *column)] for column in columns]
        lines.append([name, *(f"{case.samples_per_s:,.1f} ({case.of_ctr_gcn:.2f})" for case in of_model)])
    return table(lines)


def measure(
    device: torch.device, models: Sequence[str], frames: Sequence[int], precisions: Sequence[str], batch_size: int,
    num_round: int, out: Path | None, *, compiled: bool,
) -> Report:  # fmt: skip
    """Compares at every number of frames and in every precision; `batch_size` is that of 64 frames."""
    keep_memory()
    cases: list[Case] = []
    for T in frames:
        for precision in precisions:
            size = max(1, batch_size * 64 // T)
            cases += compare(models, T, precision, size, num_round, device, compiled=compiled)
            if out:
                about: dict[str, Any] = {"device": str(device), "threads": torch.get_num_threads()}
                about |= {"torch": torch.__version__, "compiled": compiled, "rounds": num_round}
                write_text(out, json.dumps({**about, "cases": [asdict(case) for case in cases]}, indent=2) + "\n")
    return Report(notes=rows(cases))


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and measure."""
    parser = Parser(description=__doc__)
    parser.option("device", default="auto", help="cpu, cuda or mps (default: the fastest available)")
    parser.option("models", nargs="+", default=[*MODELS], choices=MODELS, help="(default: all)")
    parser.option("frames", nargs="+", type=int, default=[64, 300], help="(default: 64 300)")
    parser.option("precisions", nargs="+", default=["float32", "bfloat16"], help="(default: float32 bfloat16)")
    parser.option("batch_size", type=int, default=8, help="at 64 frames, fewer with more (default: %(default)s)")
    parser.option("num_round", type=int, default=5, help="rounds that count (default: %(default)s)")
    parser.option("compile", action="store_true", help="compile our models")
    parser.option("out", type=Path, help="JSON file to write")
    args = vars(parser.parse_args(argv))
    return measure(choose_device(args.pop("device")), compiled=args.pop("compile"), **args)


if __name__ == "__main__":
    run(main)
