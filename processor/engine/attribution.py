"""How much joints, frames and persons count for a class, by several methods, and how far each is to be trusted.

Sources: attention that is received, the mean of the columns; rollout, Abnar and Zuidema, *Quantifying Attention Flow in
Transformers*, ACL 2020 (0.5 A + 0.5 I, multiplied over the layers; the convolutions between layers, which mix joints or
frames, too, are not in it); integrated gradients, Sundararajan et al., ICML 2017, by captum, from a sample of zeros;
deletion and insertion, Petsiuk et al., *RISE*, BMVC 2018. What is removed is zero, as the feeder gives what is missing.

Axis legend: C channels, T frames, V joints, M persons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.layers.attention import Attention
from processor.engine.attention import Seen, look
from processor.results.tokens import map_at_frames

AXES = {"frames": 1, "joints": 2, "persons": 3}  # of a sample (C, T, V, M)
LEVELS = 10  # steps from nothing to everything removed
RANDOM_ORDERS = 4
NOISE, DRAWS = 0.01, 3  # standard deviation, in those of the sample's numbers; how often it is drawn
STEPS = 20  # of the integral
GLANCE = {"levels": 4, "orders": 1}  # of a report
BATCH = 4  # samples that are scored together; with 300 frames each takes up to 0.2 GB

Importance = dict[tuple[str, str], np.ndarray]  # (method, axis) -> (length of the axis,)


def captum_is_there() -> bool:
    """Whether the gradients can be integrated."""
    try:
        import captum  # noqa: F401
    except ImportError:
        return False
    return True


def attended(seen: Sequence[Seen], shape: Sequence[int]) -> Importance:
    """By received attention and by rollout, of what was seen of a sample (C, T, V, M); each sums to 1."""
    importance: Importance = {}
    for kind, axis in AXES.items():
        if layers := list(maps_of(seen, kind, num_frame=shape[axis] if kind == "frames" else None).values()):
            importance["attention", kind] = np.mean(layers, axis=0).mean(axis=0)
            importance["rollout", kind] = rollout(layers).mean(axis=0)
    return importance


def maps_of(seen: Sequence[Seen], kind: str, *, num_frame: int | None = None) -> dict[str, np.ndarray]:
    """The attention (L, L) of each block with this kind: the mean of heads, rows and persons.

    With `num_frame`, (T, T) of the frames of the input.
    """
    maps: dict[str, list[np.ndarray]] = {}
    for one in seen:
        if one.kind == kind:
            A = one.mean().mean(axis=0)
            maps.setdefault(one.block, []).append(A if num_frame is None else map_at_frames(A, num_frame))
    return {block: np.mean(persons, axis=0) for block, persons in maps.items()}


def rollout(layers: Sequence[np.ndarray]) -> np.ndarray:
    """The product of 0.5 A + 0.5 I of all layers (L, L), the first on the right; rows are the last layer's."""
    y = np.eye(len(layers[0]))
    for A in layers:
        y = (A + np.eye(len(A))) / 2 @ y
    return y


def integrated_gradients(model: nn.Module, x: Tensor, classes: Sequence[int]) -> dict[int, np.ndarray]:
    """For each class the part (C, T, V, M) that every number of a sample has in its logit."""
    from captum.attr import IntegratedGradients

    method = IntegratedGradients(model)
    given = {}
    for number in classes:
        parts = method.attribute(x[None], target=number, n_steps=STEPS, internal_batch_size=1)
        given[number] = parts[0].detach().cpu().numpy()
    return given


def by_axis(parts: np.ndarray) -> Importance:
    """The sizes of the parts (C, T, V, M), summed over all axes but one; each sums to 1."""
    size = np.abs(parts).astype(np.float64)
    size /= size.sum() or 1
    sums = {kind: size.sum(axis=tuple(a for a in range(4) if a != axis)) for kind, axis in AXES.items()}
    return {("gradients", kind): total for kind, total in sums.items() if kind != "persons" or (total > 0).sum() > 1}


def removed(x: Tensor, axis: str, places: np.ndarray) -> Tensor:
    """`x` (C, T, V, M) with these joints, frames or persons missing."""
    y = x.clone()
    y.index_fill_(AXES[axis], torch.as_tensor(places.copy(), device=x.device), 0)
    return y


@torch.no_grad()
def probabilities(model: nn.Module, samples: Sequence[Tensor], number: int) -> np.ndarray:
    """The probability of a class for each sample."""
    model.eval()
    parts = [model(torch.stack(list(samples[i : i + BATCH]))) for i in range(0, len(samples), BATCH)]
    return torch.cat(parts).float().softmax(dim=1)[:, number].cpu().numpy()


def counts(length: int, levels: int) -> np.ndarray:
    """How many of so many places are removed in turn, from none to all: `levels` + 1 numbers, or fewer."""
    return np.unique(np.linspace(0, length, levels + 1).round().astype(int))


def curves(
    model: nn.Module, x: Tensor, number: int, axis: str, order: np.ndarray, levels: int
) -> tuple[np.ndarray, np.ndarray]:
    """The probability of a class while an order is removed from the sample, and while it is added to nothing.

    Both have an entry for each number of `counts`.
    """
    numbers = counts(len(order), levels)
    deleted = [removed(x, axis, order[:n]) for n in numbers]
    inserted = [removed(x, axis, order[n:]) for n in numbers]
    y = probabilities(model, [*deleted, *inserted], number)
    return y[: len(numbers)], y[len(numbers) :]


def area(curve: np.ndarray, shares: np.ndarray) -> float:
    """The area under a curve whose points are at these shares, by trapezoids."""
    return float(((curve[1:] + curve[:-1]) / 2) @ np.diff(shares))


class Score:
    """Scores the importance of places along an axis against random orders, drawn once a sample and axis.

    Args:
        number: the class whose probability is followed.
        levels: steps from nothing to everything removed; LEVELS by default.
        orders: random orders; RANDOM_ORDERS by default.
    """

    def __init__(self, model: nn.Module, x: Tensor, number: int, *, levels: int = 0, orders: int = 0) -> None:
        self.model, self.x, self.number = model, x, number
        self.levels, self.orders = levels or LEVELS, orders or RANDOM_ORDERS
        self._random: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def random(self, axis: str) -> tuple[np.ndarray, np.ndarray]:
        """The mean curves of random orders."""
        if axis not in self._random:
            rng, L = np.random.default_rng(0), self.x.shape[AXES[axis]]
            drawn = [self._curves(axis, rng.permutation(L)) for _ in range(self.orders)]
            self._random[axis] = (np.mean([a for a, _ in drawn], axis=0), np.mean([b for _, b in drawn], axis=0))
        return self._random[axis]

    def _curves(self, axis: str, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return curves(self.model, self.x, self.number, axis, order, self.levels)

    def of(self, importance: np.ndarray, axis: str) -> dict[str, Any]:
        """Both curves, those of random orders, and the areas between: above 0 is better than a random order."""
        order = np.argsort(-importance, kind="stable")
        names = ("deletion", "insertion", "random_deletion", "random_insertion")
        drawn = dict(zip(names, (*self._curves(axis, order), *self.random(axis)), strict=True))
        shares = counts(len(order), self.levels) / len(order)
        areas = {name: area(curve, shares) for name, curve in drawn.items()}
        return {
            **areas,
            "deletion_gain": areas["random_deletion"] - areas["deletion"],
            "insertion_gain": areas["insertion"] - areas["random_insertion"],
            "curves": {"shares": shares.tolist(), **{name: curve.tolist() for name, curve in drawn.items()}},
        }


def importances(model: nn.Module, x: Tensor, number: int) -> Importance:
    """The importance of joints, frames and persons of a sample for a class, by all methods; each sums to 1."""
    importance = attended(look(model, x)[0], x.shape)
    if captum_is_there():
        importance |= by_axis(integrated_gradients(model, x, [number])[number])
    return {key: value for key, value in importance.items() if len(value) > 1}


def stability(explain: Callable[[Tensor], Importance], x: Tensor, given: Importance) -> dict[Any, float]:
    """Spearman's correlation of each importance with that of the sample under small noise, the mean of several draws.

    The noise is on numbers that are there; missing joints and absent persons stay zero.
    """
    generator = torch.Generator().manual_seed(0)
    sums = dict.fromkeys(given, 0.0)
    size = float(x[x != 0].std()) if bool((x != 0).sum() > 1) else 1.0
    for _ in range(DRAWS):
        noise = torch.randn(x.shape, generator=generator).to(x.device) * (NOISE * size)
        again = explain(x + noise * (x != 0))
        for key, value in given.items():
            sums[key] += spearman(value, again[key]) / DRAWS
    return sums


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """The rank correlation of two lists; 1 where either is constant and both are equal, 0 where only one is."""
    ranks = _ranks(a), _ranks(b)
    spread = [each.std() for each in ranks]
    return float(np.corrcoef(*ranks)[0, 1]) if all(spread) else float(spread[0] == spread[1])


def _ranks(x: np.ndarray) -> np.ndarray:
    """Ranks from 0; equal numbers share their mean rank."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]


def glance(model: nn.Module, x: Tensor) -> list[dict[str, Any]]:
    """What a report shows of one sample (C, T, V, M): for each kind of attention its maps and their score.

    Returns:
        For each kind: `kind`; `blocks`, by name the mean (L, L) of heads, rows and persons; `received`, the importance
        (L of the input,) that its score is of; `deletion_gain` and `insertion_gain`, from few steps (`GLANCE`).
        Empty for a model without attention.
    """
    if not any(isinstance(module, Attention) for module in model.modules()):
        return []
    model = deepcopy(model)  # which is not compiled: each of the few batches would be of another shape
    seen, logits = look(model, x)
    score = Score(model, x, int(logits.argmax()), **GLANCE)
    importance = attended(seen, x.shape)
    shown: list[dict[str, Any]] = []
    for kind in AXES:
        maps = maps_of(seen, kind)
        if maps and len(received := importance["attention", kind]) > 1:
            about = score.of(received, kind)
            gains = {key: about[key] for key in ("deletion_gain", "insertion_gain")}
            shown.append({"kind": kind, "blocks": maps, "received": received, **gains})
    return shown
