# ruff: noqa: E402
"""Times S-TR frame by frame: `python benchmarks/stream.py --every 4`.

Single-person frames on one core. The stream takes each frame and gives logits after every few frames; beside it, in the
same rounds, the whole clip is computed anew for each answer.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch

from data_gen.common.command_line import Report, main_of, run
from model.st_tr import Model
from model.streaming import Stream
from processor.tools.benchmark import seconds_of


def measure(every: int = 4, clip: int = 300, num_round: int = 10) -> Report:
    """The fastest round of each, in frames a second; both answer for clips of `clip` frames and somewhat more.

    Args:
        every: frames between two answers.
        clip: frames of the clip.
        num_round: rounds, of which the fastest counts.
    """
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
    rate, other = 4 * every / of_stream, every / of_clip
    notes = [f"an answer every {every} frames: {rate:.0f} frames/s, {rate / every:.1f} answers/s"]
    notes += [f"the clip of {clip} frames anew for each answer: {other:.0f} frames/s ({rate / other:.1f} times)"]
    return Report(notes=notes)


if __name__ == "__main__":
    run(main_of(measure, __doc__))
