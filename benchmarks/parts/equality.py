"""Whether a GPU gives what the published code gives, and what our plain functions give there in float64."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from copy import deepcopy
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.parts.setting import Setting
from graph.common.files import ROOT
from model import fast, st_tr, zit_zot
from model.published import from_published
from processor.runtime.device import autocast, compute_in_full

sys.path.insert(0, str(ROOT / "tests"))
from golden.golden import golden_input, weight

PRECISIONS = ("float64", "float32", "bfloat16", "float16")
FAMILIES: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "S-TR": (st_tr.Model, {}),
    "T-TR": (st_tr.Model, {"attention": False, "tcn_attention": True}),
    "S-TR, relative": (st_tr.Model, {"relative": True, "adjacency": True}),
    "T-TR, relative": (st_tr.Model, {"attention": False, "tcn_attention": True, "relative": True}),
    "ST-TR-1s": (st_tr.Model, {"tcn_attention": True}),
    "ST-TR-1s, adaptive": (st_tr.Model, {"tcn_attention": True, "agcn": True}),
    "ZiT-ZoT": (zit_zot.Model, {}),
}


def measure(setting: Setting) -> None:
    """Errors relative to the norm of the truth, the largest of all tensors."""
    device = torch.device(setting.device)
    compute_in_full()
    names = ("S-TR", "T-TR", "ZiT-ZoT") if setting.rehearse else FAMILIES
    for name, precision in product(names, PRECISIONS):
        figure = f"{name}, {precision}"
        if setting.rehearse and precision not in ("float64", "float32") and name != "S-TR":
            continue  # a CPU without such units takes seconds
        with setting.guarded(figure):
            setting.need(0.5)
            setting.record(figure, against_plain(name, precision, device, setting.rehearse))
    for name in ("S-TR",) if setting.rehearse else ("S-TR", "T-TR"):
        with setting.guarded(f"{name}, two trainings"):
            setting.need(1)
            setting.record(f"{name}, two trainings", two_trainings(name, device, setting.rehearse))
    precisions = PRECISIONS[:2] if setting.rehearse else PRECISIONS
    for file in ("st_tr.json", "zoom.json"):
        content = json.loads((ROOT / "tests" / "golden" / file).read_text(encoding="utf-8"))
        variants = dict(list(content["variants"].items())[: 1 if setting.rehearse else None])
        for name, variant in variants.items():
            with setting.guarded(f"golden {name}"):
                setting.need(0.5)
                setting.record(f"golden {name}", golden(variant, content.get("base", {}), device, precisions))


def golden(
    variant: dict[str, Any], base: dict[str, Any], device: torch.device, precisions: Sequence[str]
) -> dict[str, float]:
    """The error of the logits against those of the published code, in each precision."""
    options = {**base, **variant["model_args"], **({"graph": variant["graph"]} if "graph" in variant else {})}
    state = {key: weight(key, shape) for key, shape in variant["state"].items()}
    x, expected = torch.from_numpy(golden_input(variant["input"])), np.array(variant["logits"])
    errors = {}
    for precision in precisions:
        wide = torch.float64 if precision == "float64" else torch.float32
        model = from_published(state, options).to(device, wide)
        with torch.no_grad(), autocast(device, "float32" if precision == "float64" else precision):
            logits = model(x.to(device, wide)).double().cpu().numpy()
        errors[precision] = float(np.linalg.norm(logits - expected) / np.linalg.norm(expected))
    return errors


_truths: dict[str, tuple[nn.Module, Tensor, dict[str, Tensor]]] = {}


def against_plain(name: str, precision: str, device: torch.device, small: bool) -> dict[str, Any]:
    """The errors of logits and gradients in training mode against the plain functions in float64."""
    if name not in _truths:
        torch.manual_seed(0)
        kind, options = FAMILIES[name]
        T = 8 if small else 130  # in T-TR 65 frames attend, for which a GPU takes other kernels than for 64
        exact = {"dropout": 0.0, "drop_connect": False} if kind is st_tr.Model else {"dropout": 0.0}
        model = kind(**options, **sizes(kind, T), **exact).to(device, torch.float64)
        x = torch.randn(2, 3, T, 25, 2, dtype=torch.float64, device=device)
        with fast.reference():
            _truths[name] = model, x, outcome(deepcopy(model), x, "float64")
    model, x, truth = _truths[name]
    wide = torch.float64 if precision == "float64" else torch.float32
    ours = outcome(deepcopy(model).to(wide), x.to(wide), precision)
    errors = {
        key: float((ours[key] - value).norm() / (value.norm() + typical(truth, value))) for key, value in truth.items()
    }
    worst = max((key for key in errors if key != "logits"), key=lambda key: errors[key])
    return {"logits": errors["logits"], "worst gradient": errors[worst], "of": worst}


def sizes(kind: type[nn.Module], T: int) -> dict[str, Any]:
    """Options for so many frames, of a narrow model where they are few."""
    if kind is zit_zot.Model:
        return {"max_T": max(T, 9)}
    return {"window_size": T, **({"channels": [16, 32, 64]} if T < 64 else {})}


def typical(truth: dict[str, Tensor], value: Tensor) -> Tensor:
    """A tenth of the norm that a gradient of this size has in this model: many are next to zero before a batch norm."""
    mean = torch.stack([x.square().mean().sqrt() for key, x in truth.items() if key != "logits"]).median()
    return 0.1 * mean * value.numel() ** 0.5


def outcome(model: nn.Module, x: Tensor, precision: str) -> dict[str, Tensor]:
    """Logits and gradients of all parameters, on the CPU in float64; the loss is scaled as for float16."""
    scale = 1024.0 if precision == "float16" else 1.0
    with autocast(x.device, "float32" if precision == "float64" else precision):
        logits = model(x).to(x.dtype)
    (scale * (logits * torch.linspace(0, 1, logits.numel(), device=x.device).view(logits.shape)).sum()).backward()
    gradients = {key: p.grad.double().cpu() / scale for key, p in model.named_parameters() if p.grad is not None}
    return {"logits": logits.detach().double().cpu(), **gradients}


def two_trainings(name: str, device: torch.device, small: bool) -> dict[str, Any]:
    """Whether two trainings of a few steps from the same seed have the same weights to the bit, or how they differ."""
    kind, options = FAMILIES[name]
    T = 8 if small else 130
    weights = []
    for _ in range(2):
        torch.manual_seed(0)
        model = kind(**options, **sizes(kind, T)).to(device)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        x = torch.randn(4, 3, T, 25, 2, device=device)
        for _ in range(3):
            model(x).logsumexp(dim=1).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]).double())
    a, b = weights
    return {"same to the bit": bool(torch.equal(a, b)), "difference": float((a - b).norm() / a.norm())}
