"""The explanation of a sample, or the mean over samples of a class: attention, importance and scores, as arrays.

`attention.npz`, `attribution.npz` and `explanation.json` are written; `explain` is the command line. Axis legend:
C channels, T frames, V joints, M persons.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from feeders.arrays import skeleton_of_array
from feeders.layout import Layout
from feeders.presence import evenly
from graph.common.files import atomic_write, write_text
from graph.tools import Skeleton
from processor.engine import attribution
from processor.engine.attention import Seen, first_clip, frames_of, look
from processor.engine.attribution import Score, captum_is_there, importances, integrated_gradients, stability
from processor.engine.setup import Run
from processor.runtime.device import to_device

ATTENTION, ATTRIBUTION, EXPLANATION = "attention.npz", "attribution.npz", "explanation.json"
MOST_SCORED = 5  # samples of a class whose explanations are scored
RIVALS = 3  # classes of a sample whose gradients are written: those that it scores highest


@dataclass
class Subject:
    """A model and what it is explained with.

    Attributes:
        feeder: samples as the model gets them.
        labels: the class of each sample; None: nobody told it.
    """

    model: nn.Module
    device: torch.device
    weights: str
    feeder: Any
    labels: Sequence[int] | None
    class_names: Sequence[str] | None
    skeleton: Skeleton

    @classmethod
    def of_run(cls, run: Run) -> Subject:
        """The model and the test data of a run."""
        feeder, config = run.loaders["test"].feeder, run.config
        V = first_clip(feeder, 0).shape[-2]
        try:
            skeleton = skeleton_of_array(config.test_feeder_args.get("data_path", ""), V)
        except ValueError:
            skeleton = numbered(V)
        return cls(run.model, run.device, str(config.weights), feeder, feeder.label, config.class_names, skeleton)


@dataclass
class Explained:
    """What explains one sample, or the mean over samples of a class.

    Attributes:
        title: the sample's name, or that of the class.
        seen: the attentions, of the mean without -inf.
        frames: (T,) the recording's number of each frame of the input, NaN for padding.
        body: (C, T, V, M) the skeletons that are drawn: those of the sample, or of one of the class.
        layout: what the channels of the body are; None: unknown.
        importance: by method and axis.
        scores: by `method of axis`, what `explanation.json` holds of each.
    """

    title: str
    seen: list[Seen]
    frames: np.ndarray
    body: np.ndarray
    layout: Layout | None = None
    importance: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)

    def score_line(self, kind: str) -> str:
        """The score of a kind of attention as it stands below its picture."""
        score = self.scores[f"attention of {kind}"]
        return (
            f"attention of {kind}, area against a random order: deletion {score['deletion_gain']:+.3f}, "
            f"insertion {score['insertion_gain']:+.3f}; stability {score['stability']:.2f}"
        )


def numbered(V: int) -> Skeleton:
    """A skeleton without bones, whose joints have numbers for names."""
    return Skeleton("joints by number", tuple(map(str, range(V))), tuple(range(V)))


def explain_samples(
    subject: Subject, title: str, indices: Sequence[int], folder: Path, *, logits: bool = False
) -> Explained:
    """Explains samples together, and writes the arrays and `explanation.json` into `folder`."""
    feeder, model = subject.feeder, subject.model
    totals: dict[str, tuple[Seen, int]] = {}
    for index in indices:
        x = to_device(first_clip(feeder, index), subject.device)
        for one in look(model, x)[0]:
            before, number = totals.get(one.name, (one, 0))
            if number:
                before.values[:] = before.values + (one.values - before.values) / (number + 1)
            totals[one.name] = (before, number + 1)
    seen = [one for one, _ in totals.values()]
    is_mean = len(indices) > 1
    frames, body = _shown(feeder, indices[0])
    numbers = np.arange(len(frames), dtype=np.float64) if is_mean else frames
    explained = Explained(title, seen, numbers, body, getattr(feeder, "layout", None))
    arrays = {one.name: one.values for one in seen}
    arrays |= {f"frames/{one.name}": frames_of(one, numbers) for one in seen if one.kind != "tokens"}
    _save(folder / ATTENTION, arrays)
    if logits:
        x = to_device(first_clip(feeder, indices[0]), subject.device)
        _save(folder / "logits.npz", {one.name: one.values for one in look(model, x, logits=True)[0]})
    _attribute(explained, subject, indices, folder)
    return explained


def _attribute(explained: Explained, subject: Subject, indices: Sequence[int], folder: Path) -> None:
    """Adds importance and scores, the mean over some of the samples, and writes them."""
    feeder, model = subject.feeder, subject.model
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    scored = [indices[i] for i in evenly(len(indices), MOST_SCORED)]
    results: dict[str, list[dict[str, Any]]] = {}
    gathered: dict[tuple[str, str], list[np.ndarray]] = {}
    arrays: dict[str, np.ndarray] = {}
    rows = []
    for index in scored:
        x = to_device(first_clip(feeder, index), subject.device)
        with torch.no_grad():
            chances = model.eval()(x[None])[0].float().softmax(dim=0)
        number = int(chances.argmax())
        label = None if subject.labels is None else int(subject.labels[index])
        row = {"sample": str(feeder.sample_name[index]), "label": label, "predicted": number}
        rows.append(row | {"probability": float(chances[number])})
        given, score = importances(model, x, number), Score(model, x, number)
        steady = stability(lambda noisy, number=number: importances(model, noisy, number), x, given)  # type: ignore[misc]
        for (method, axis), value in given.items():
            gathered.setdefault((method, axis), []).append(value)
            scores = {**score.of(value, axis), "stability": steady[method, axis]}
            results.setdefault(f"{method} of {axis}", []).append(scores)
        if captum_is_there():
            likeliest = chances.argsort(descending=True)[:RIVALS].tolist()
            of = list(dict.fromkeys([*likeliest, number if label is None else label]))
            for target, parts in integrated_gradients(model, x, of).items():
                arrays[f"gradients/{row['sample']}/class{target}"] = parts
    explained.importance = {key: np.mean(values, axis=0) for key, values in gathered.items()}
    explained.scores = {key: _mean(each) for key, each in results.items()}
    arrays |= {f"{method}/{axis}": value for (method, axis), value in explained.importance.items()}
    _save(folder / ATTRIBUTION, arrays)
    content = {
        "title": explained.title,
        **{"samples": len(indices), "scored": rows, "noise": attribution.NOISE, "draws": attribution.DRAWS},
        "class_names": subject.class_names and list(subject.class_names),
        "weights": subject.weights,
        "scores": explained.scores,
    }
    write_text(folder / EXPLANATION, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _mean(results: Sequence[Any]) -> Any:
    """The mean of numbers or of lists, or in mappings of what has equal keys."""
    if not isinstance(results[0], dict):
        return np.mean(results, axis=0).tolist()
    return {key: _mean([result[key] for result in results]) for key in results[0]}


def _shown(feeder: Any, index: int) -> tuple[np.ndarray, np.ndarray]:
    """The recording's frame numbers (T,) of a sample, and the recording's skeletons (C, T, V, M) at these."""
    x = first_clip(feeder, index).numpy()
    if not hasattr(feeder, "frame_numbers"):  # a user's feeder: the frames of the input
        return np.arange(x.shape[1], dtype=np.float64), x
    frames = feeder.frame_numbers(index)
    frames = frames if frames.ndim == 1 else frames[0]
    raw = np.asarray(feeder.data[index], np.float32)
    body = raw[:, np.nan_to_num(frames).round().astype(int).clip(0, raw.shape[1] - 1)]
    body[:, np.isnan(frames)] = 0
    return frames, body


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
