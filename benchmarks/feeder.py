# ruff: noqa: E402
"""Measures the speed of one worker of the feeder: `python benchmarks/feeder.py [--num_sample 600]`.

Writes an array of NTU's form (N, 3, 300, 25, 2) with random numbers to a temporary folder; half of its samples have one
person. Reads it through `Feeder`, sample by sample in this process and in batches of 64 from one worker, each once to
warm up and once for the result. A sample takes 0.18 MB of disk.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch

from benchmarks.parts.arrays import write_part
from data_gen.common.command_line import Report, main_of, run
from feeders.feeder import Feeder
from processor.engine.data import Loader

RESIZED: dict[str, Any] = {"window_size": 64, "sampling": "resize", "p_interval": [0.5, 1.0]}
TURNED: dict[str, Any] = {"random_rotation": [17, 17, 17]}
RECIPES: dict[str, dict[str, Any]] = {
    "64 frames: crop and resize, rotation": RESIZED | TURNED,
    "64 frames: the same, jitter": RESIZED | TURNED | {"joint_jitter": 0.01},
    "64 frames: the same of bones, scaling": RESIZED
    | TURNED
    | {"stream": "bone", "random_scaling": [0.9, 1.1], "joint_jitter": 0.01},
    "64 frames: uniform sampling, rotation": TURNED | {"window_size": 64, "sampling": "uniform"},
    "300 frames: as they are": {},
    "300 frames: random_choose, random_shift, random_move": {
        "window_size": 300,
        "random_choose": True,
        "random_shift": True,
        "random_move": True,
    },
    "300 frames: rotation, scaling, mirroring, jitter, joint+bone": TURNED
    | {"stream": "joint+bone", "random_scaling": [0.9, 1.1], "mirroring": True, "joint_jitter": 0.01},
}


def rates(feeder: Feeder) -> tuple[float, float]:
    """Samples a second that this process makes, and that one worker hands to it, without the time of its start."""
    loader, seconds = Loader(feeder, batch_size=64, workers=1, device=torch.device("cpu")), [0.0, 0.0]
    with closing(loader):
        for _ in range(2):
            for number, samples in enumerate((map(feeder.__getitem__, range(len(feeder))), loader.epoch(0))):
                start = time.perf_counter()
                for _ in samples:
                    pass
                seconds[number] = time.perf_counter() - start
    return len(feeder) / seconds[0], len(feeder) / seconds[1]


def measure(num_sample: int = 600) -> Report:
    """The rate of every recipe.

    Args:
        num_sample: samples of the array.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = write_part(Path(folder), "train", num_sample, (3, 300, 25, 2), 60)
        notes = ["samples/s in process, of a worker"]
        for name, args in RECIPES.items():
            notes.append("".join(f"{rate:8.0f}" for rate in rates(Feeder(**paths, **args))) + f"  {name}")
        return Report(notes=notes)


if __name__ == "__main__":
    run(main_of(measure, __doc__))
