"""What a run recorded on its way: the curves in its TensorBoard files, read back."""

from __future__ import annotations

import logging
from pathlib import Path

MOST = 1000  # points of a curve that are kept; of longer ones a sample, with the last
Curve = list[tuple[int, float]]  # (optimiser step, value)


def read_curves(folder: Path) -> dict[str, Curve]:
    """The scalars of a run by name, such as `train/loss`; empty where there are none."""
    if not any(folder.glob("events.out.tfevents.*")):
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # takes half a second

    chatty = logging.getLogger("tensorboard")
    level = chatty.level
    chatty.setLevel(logging.WARNING)
    events = EventAccumulator(str(folder), size_guidance={"scalars": MOST, "images": 1})
    try:
        events.Reload()
    finally:
        chatty.setLevel(level)
    scalars = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
    return {name: list({x.step: x.value for x in xs}.items()) for name, xs in scalars.items()}  # a test may be repeated
