# ruff: noqa: E402
"""Times S-TR frame by frame: `python benchmarks/stream.py --every 4`.

Single-person frames on one core. The stream takes each frame and gives logits after every few frames; beside it, in the
same rounds, the whole clip is computed anew for each answer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch

from data_gen.common.command_line import Parser, Report, run
from model.st_tr import Model
from model.streaming import Stream
from processor.tools.benchmark import seconds_of


def measure(every: int, clip: int, num_round: int) -> Report:
    """The fastest round of each, in frames a second; both answer for clips of `clip` frames and somewhat more."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    cpu = torch.device("cpu")
    model = Model(num_class=60, num_person=1).eval()
    frames = torch.randn(1, 3, clip, 25, 1)
    stream = Stream(model)
    stream.push(frames)

    def streamed() -> None:
        for frame in frames[:, :, : 4 * every].split(every, dim=2):
            for one in frame.unbind(dim=2):
                stream.push(one)
            stream.logits()

    def anew() -> None:
        with torch.no_grad():
            model(frames)

    streamed()
    anew()
    rounds = [(seconds_of(streamed, cpu), seconds_of(anew, cpu)) for _ in range(num_round)]
    of_stream, of_clip = (min(times) for times in zip(*rounds, strict=True))
    report = Report()
    rate, other = 4 * every / of_stream, every / of_clip
    report.notes.append(f"an answer every {every} frames: {rate:.0f} frames/s, {rate / every:.1f} answers/s")
    report.notes.append(
        f"the clip of {clip} frames anew for each answer: {other:.0f} frames/s ({rate / other:.1f} times)"
    )
    return report


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and measure."""
    parser = Parser(description=__doc__)
    parser.option("every", type=int, default=4, help="frames between two answers (default: %(default)s)")
    parser.option("clip", type=int, default=300, help="frames of the clip (default: %(default)s)")
    parser.option("num_round", type=int, default=10, help="rounds, of which the fastest counts (default: %(default)s)")
    args = parser.parse_args(argv)
    return measure(args.every, args.clip, args.num_round)


if __name__ == "__main__":
    run(main)
