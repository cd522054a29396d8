"""Explains a model: attention of its blocks, how much joints, frames and persons count, and a score for each of it.

`python main.py --phase explain --weights W (--sample NAME ... | --class NAME ...)`. In a folder for each sample or
class are written `attention.npz`, `attribution.npz`, `explanation.json` and pictures.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graph.common.files import atomic_write, write_text
from graph.common.words import did_you_mean, plural
from processor.config.schema import Config
from processor.engine.setup import Run, open_test
from processor.runtime.device import to_device
from processor.tools.attention import Seen, frames_of, look
from processor.tools.attribution import (
    DRAWS,
    NOISE,
    Score,
    captum_is_there,
    importances,
    integrated_gradients,
    stability,
)

ATTENTION, ATTRIBUTION, EXPLANATION = "attention.npz", "attribution.npz", "explanation.json"
MOST_SCORED = 5  # samples of a class whose explanations are scored
RIVALS = 3  # classes of a sample whose gradients are written: those that it scores highest

log = logging.getLogger(__name__)


@dataclass
class Explained:
    """What explains one sample, or the mean over samples of a class.

    Attributes:
        title: the sample's name, or that of the class.
        seen: the attentions, of the mean without -inf.
        frames: (T,) the recording's number of each frame of the input, NaN for padding.
        body: (C, T, V, M) the skeletons that are drawn: those of the sample, or of one of the class.
        importance: by method and axis.
        scores: by `method of axis`, what `explanation.json` holds of each.
    """

    title: str
    seen: list[Seen]
    frames: np.ndarray
    body: np.ndarray
    importance: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def score_line(self, kind: str, method: str = "attention") -> str:
        """The score of an explanation as it stands below its picture."""
        score = self.scores.get(f"{method} of {kind}")
        if score is None:
            return f"{method} of {kind}: no score, for there is one only"
        return (
            f"{method} of {kind}, area against a random order: deletion {score['deletion_gain']:+.3f}, "
            f"insertion {score['insertion_gain']:+.3f}; stability {score['stability']:.2f}"
        )


def explain(config: Config) -> None:
    """Explains what `sample` and `of_class` name.

    Raises:
        ValueError: neither is named, a name is unknown, or the model has no attention.
    """
    if bool(config.sample) == bool(config.of_class):
        raise ValueError("explain: name either samples of the test data (--sample NAME) or classes (--class NAME)")
    if config.of_class and config.logits:
        raise ValueError("logits: are those of a sample; name one with --sample, or leave --logits out")
    run = open_test(config)
    feeder, names = run.loaders["test"].feeder, run.config.class_names
    chosen = _samples(feeder, config.sample) if config.sample else _classes(feeder, config.of_class, names)
    if not captum_is_there():
        log.warning("gradients are left out: captum is not installed; `pip install captum` adds them")
    out = config.out or config.work_dir / "explain"
    for title, indices in chosen.items():
        folder = out / _file_name(title)
        explained = explain_samples(run, title, indices, folder, logits=config.logits)
        from processor.results.attention_pictures import draw_maps  # matplotlib is loaded here, not before
        from processor.results.body_pictures import draw_bodies

        skeleton = skeleton_of_run(run)
        pictures = draw_maps(explained, skeleton, folder, frames_of, order=config.order, bars=config.color_bar)
        pictures += draw_bodies(explained, skeleton, folder, order=config.order)
        log.info("%s: %s in %s", title, plural(len(pictures), "picture"), folder)


def _samples(feeder: Any, names: Sequence[str]) -> dict[str, list[int]]:
    known = {name: index for index, name in enumerate(feeder.sample_name)}
    for name in names:
        if name not in known:
            raise ValueError(
                f"sample: no test sample is named {name!r}{did_you_mean(name, known)}; "
                f"there are {plural(len(known), 'sample')}, for example {next(iter(known))}"
            )
    return {name: [known[name]] for name in names}


def _classes(feeder: Any, wanted: Sequence[str], names: Sequence[str] | None) -> dict[str, list[int]]:
    labels = np.asarray(feeder.label)
    chosen = {}
    for name in wanted:
        number = list(names).index(name) if names and name in names else int(name) if name.isdecimal() else -1
        indices = np.flatnonzero(labels == number).tolist()
        if not indices:
            known = names or [str(label) for label in np.unique(labels)]
            raise ValueError(
                f"class: the test data have no samples of a class {name!r}{did_you_mean(name, known)}; "
                f"classes are {', '.join(known[:8])}{', ...' if len(known) > 8 else ''}"
            )
        chosen[f"class {names[number] if names else number}"] = indices
    return chosen


def _file_name(title: str) -> str:
    """`title` as the name of a folder on every system."""
    return re.sub(r"[^\w.-]+", "_", title).strip("._")[:80] or "explained"


def skeleton_of_run(run: Run) -> Any:
    """The skeleton of the test data: joint names and bones."""
    from feeders.arrays import skeleton_of_array
    from graph.tools import Skeleton

    feeder = run.loaders["test"].feeder
    V = feeder[0][0].shape[-2]
    try:
        return skeleton_of_array(run.config.test_feeder_args.get("data_path", ""), V)
    except ValueError:
        return Skeleton("joints by number", tuple(map(str, range(V))), tuple(range(V)))


def explain_samples(run: Run, title: str, indices: Sequence[int], folder: Path, *, logits: bool = False) -> Explained:
    """Explains samples of the test data together, and writes the arrays and `explanation.json` into `folder`."""
    feeder, model = run.loaders["test"].feeder, run.model
    totals: dict[str, tuple[Seen, int]] = {}
    for index in indices:
        x = to_device(_first_clip(feeder, index), run.device)
        for one in look(model, x)[0]:
            before, count = totals.get(one.name, (one, 0))
            if count:
                before.values[:] = before.values + (one.values - before.values) / (count + 1)
            totals[one.name] = (before, count + 1)
    seen = [one for one, _ in totals.values()]
    is_mean = len(indices) > 1
    frames, body = _shown(feeder, indices[0])
    numbers = np.arange(len(frames), dtype=np.float64) if is_mean else frames
    explained = Explained(title, seen, numbers, body)
    _save(folder / ATTENTION, {**_arrays(seen), **{f"frames/{s.name}": frames_of(s, numbers) for s in _timed(seen)}})
    if logits:
        x = to_device(_first_clip(feeder, indices[0]), run.device)
        _save(folder / "logits.npz", _arrays(look(model, x, logits=True)[0]))
    _attribute(explained, run, indices, folder)
    return explained


def _attribute(explained: Explained, run: Run, indices: Sequence[int], folder: Path) -> None:
    """Adds importance and scores, the mean over some of the samples, and writes them."""
    feeder, model, label = run.loaders["test"].feeder, run.model, run.loaders["test"].feeder.label
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    spread = np.unique(np.linspace(0, len(indices) - 1, MOST_SCORED).round().astype(int)) if len(indices) > 1 else [0]
    scored = [indices[i] for i in spread]
    results: dict[str, list[dict[str, Any]]] = {}
    gathered: dict[tuple[str, str], list[np.ndarray]] = {}
    arrays: dict[str, np.ndarray] = {}
    rows = []
    for index in scored:
        x = to_device(_first_clip(feeder, index), run.device)
        with torch.no_grad():
            chances = model.eval()(x[None])[0].float().softmax(dim=0)
        number = int(chances.argmax())
        row = {"sample": str(feeder.sample_name[index]), "label": int(label[index]), "predicted": number}
        rows.append(row | {"probability": float(chances[number])})
        given, score = importances(model, x, number), Score(model, x, number)
        steady = stability(lambda noisy, number=number: importances(model, noisy, number), x, given)  # type: ignore[misc]
        for (method, axis), value in given.items():
            gathered.setdefault((method, axis), []).append(value)
            results.setdefault(f"{method} of {axis}", []).append(
                {**score.of(value, axis), "stability": steady[method, axis]}
            )
        if captum_is_there():
            of = list(dict.fromkeys([*chances.argsort(descending=True)[:RIVALS].tolist(), int(label[index])]))
            for target, parts in integrated_gradients(model, x, of).items():
                arrays[f"gradients/{row['sample']}/class{target}"] = parts
    explained.importance = {key: np.mean(values, axis=0) for key, values in gathered.items()}
    explained.scores = {key: _mean(each) for key, each in results.items()}
    explained.about = {"samples": len(indices), "scored": rows, "noise": NOISE, "draws": DRAWS}
    arrays |= {f"{method}/{axis}": value for (method, axis), value in explained.importance.items()}
    _save(folder / ATTRIBUTION, arrays)
    content = {
        "title": explained.title,
        **explained.about,
        "class_names": run.config.class_names,
        "weights": str(run.config.weights),
        "scores": explained.scores,
    }
    write_text(folder / EXPLANATION, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _mean(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The means of numbers and lists of equal keys, nested ones too."""
    first = results[0]
    if len(results) == 1:
        return first
    return {
        key: _mean([r[key] for r in results])
        if isinstance(value, dict)
        else np.mean([r[key] for r in results], 0).tolist()
        for key, value in first.items()
    }


def _first_clip(feeder: Any, index: int) -> Tensor:
    """A sample (C, T, V, M) as the model gets it; of several clips the first."""
    x: Tensor = feeder[index][0]
    x = x[0] if x.dim() == 5 else x
    return x if x.dim() == 4 else x[..., None]


def _shown(feeder: Any, index: int) -> tuple[np.ndarray, np.ndarray]:
    """The recording's frame numbers (T,) of a sample, and the recording's skeletons (C, T, V, M) at these."""
    x = _first_clip(feeder, index).numpy()
    if not hasattr(feeder, "frame_numbers"):  # a user's feeder: the frames of the input
        return np.arange(x.shape[1], dtype=np.float64), x
    frames = feeder.frame_numbers(index)
    frames = frames if frames.ndim == 1 else frames[0]
    raw = np.asarray(feeder.data[index], np.float32)
    body = raw[:, np.nan_to_num(frames).round().astype(int).clip(0, raw.shape[1] - 1)]
    body[:, np.isnan(frames)] = 0
    return frames, body


def _timed(seen: Sequence[Seen]) -> list[Seen]:
    return [one for one in seen if one.kind != "tokens"]


def _arrays(seen: Sequence[Seen]) -> dict[str, np.ndarray]:
    return {one.name: one.values for one in seen}


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
