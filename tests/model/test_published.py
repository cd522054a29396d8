"""Published checkpoints give the published logits, with their options and without."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.published import from_published

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

from golden import golden_input, weight  # noqa: E402

FILE = json.loads((GOLDEN / "st_tr.json").read_text())
GRAPHS = {25: "graph.ntu_rgb_d.Graph", 18: "graph.kinetics.Graph"}


def checkpoint(name: str) -> dict[str, np.ndarray]:
    return {key: weight(key, shape) for key, shape in FILE["variants"][name]["state"].items()}


def error(name: str, model_args: dict[str, Any] | None) -> float:
    """Relative error of the logits in float64."""
    variant = FILE["variants"][name]
    model = from_published(checkpoint(name), model_args).double()
    with torch.no_grad():
        logits = model(torch.from_numpy(golden_input(variant["input"])).double()).numpy()
    expected = np.array(variant["logits"])
    return float(np.linalg.norm(logits - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("name", FILE["variants"])
def test_golden_logits(name: str) -> None:
    args = {**FILE["base"], **FILE["variants"][name]["model_args"]}
    args["graph"] = GRAPHS[args["num_point"]]
    assert error(name, args) < 1e-6


@pytest.mark.parametrize("name", [name for name in FILE["variants"] if name != "s-tr-plain"])
def test_golden_logits_of_inferred_options(name: str) -> None:
    assert error(name, None) < 1e-6
