"""Explains a model: attention of its blocks, how much joints, frames and persons count, and a score for each of it.

`python main.py --phase explain --weights W (--sample NAME ... | --class NAME ... | --input RECORDING ...)`. In a folder
for each sample, class or recording are written `attention.npz`, `attribution.npz`, `explanation.json` and pictures.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from data_gen.common.names import match
from feeders.arrays import class_names_in, skeleton_of_array
from graph.common.files import atomic_write, write_text
from graph.common.words import did_you_mean, plural
from graph.tools import Skeleton
from processor.config.schema import load_study
from processor.engine import attribution
from processor.engine.attention import Seen, first_clip, frames_of, look
from processor.engine.attribution import Score, captum_is_there, importances, integrated_gradients, stability
from processor.engine.jobs import jobs_of
from processor.engine.setup import Run, open_test
from processor.runtime.device import to_device
from processor.state.weights import read_weights
from processor.tools.phase import PhaseParser
from processor.tools.predict import Recognizer
from processor.tools.trained import config_of, load_trained

ATTENTION, ATTRIBUTION, EXPLANATION = "attention.npz", "attribution.npz", "explanation.json"
MOST_SCORED = 5  # samples of a class whose explanations are scored
RIVALS = 3  # classes of a sample whose gradients are written: those that it scores highest

log = logging.getLogger(__name__)


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
            skeleton = _numbered(V)
        return cls(run.model, run.device, str(config.weights), feeder, feeder.label, config.class_names, skeleton)


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

    def score_line(self, kind: str) -> str:
        """The score of a kind of attention as it stands below its picture."""
        score = self.scores[f"attention of {kind}"]
        return (
            f"attention of {kind}, area against a random order: deletion {score['deletion_gain']:+.3f}, "
            f"insertion {score['insertion_gain']:+.3f}; stability {score['stability']:.2f}"
        )


def parser() -> PhaseParser:
    """The options of the command."""
    words = PhaseParser(
        "explain",
        description="Show what a model attends to and what its decisions are based on, with a score for each "
        "explanation. Name test samples (--sample), classes (--class) or recordings (--input).",
        epilog="With --config, keys of the configuration can be given, too. See docs/explaining.md.",
    )
    words.option("weights", type=Path, help="last.pt or best.pt of a run (default: last.pt in work_dir of --config)")
    words.option("sample", nargs="+", help="names of test samples")
    words.option("class", nargs="+", help="classes, by name or number from 0: the mean over their test samples")
    words.option("input", type=Path, nargs="+", help="files or folders of recordings, in any format")
    words.option("order", choices=["joint", "limb"], default="joint", help="joints in the skeleton's order, or by limb")
    words.option(
        "color_bar", choices=["one", "each"], default="one", help="one colour scale for all maps, or one for each"
    )
    words.option("logits", action="store_true", help="also write the attention logits before the softmax")
    words.option("out", type=Path, help="folder to write into (default: explain/ in work_dir, or beside the weights)")
    return words


def main(argv: Sequence[str]) -> int:
    """Explains what the command line names; returns the exit status, errors as `explain`."""
    args, changes = parser().read(argv)
    of_class = getattr(args, "class")
    how = {"order": args.order, "bars": args.color_bar, "logits": args.logits}
    if sum(map(bool, (args.sample, of_class, args.input))) != 1:
        raise ValueError(
            "explain: name samples of the test (--sample NAME), classes (--class NAME), or recordings (--input FILE)"
        )
    if args.logits and of_class:
        raise ValueError("logits: are those of a sample; name one with --sample, or leave --logits out")
    if args.input:
        if args.weights is None:
            raise ValueError("explain: --input needs the weights, too (--weights W)")
        out = args.out or args.weights.parent / "explain"
        with _recordings(args.weights, args.input, args.config, args.class_names, changes) as subject:
            chosen = {}
            for index, name in enumerate(subject.feeder.sample_name):
                chosen[f"{name} {index}" if name in chosen else name] = [index]
            explain(subject, chosen, out, **how)
        return 0
    run, out = _run(args.weights, args.config, args.class_names, changes)
    subject = Subject.of_run(run)
    if args.sample:
        chosen = _samples(subject.feeder, args.sample)
    else:
        chosen = _classes(subject.feeder, of_class, subject.class_names)
    explain(subject, chosen, args.out or out, **how)
    return 0


def explain(subject: Subject, chosen: dict[str, list[int]], out: Path, *, order: str, bars: str, logits: bool) -> None:
    """Explains samples, or the mean of several, by title; each in its folder in `out`.

    Raises:
        ValueError: the model has no attention.
    """
    if not captum_is_there():
        log.warning("gradients are left out: captum is not installed; `pip install captum` adds them")
    for (title, indices), name in zip(chosen.items(), folder_names(chosen), strict=True):
        folder = out / name
        explained = explain_samples(subject, title, indices, folder, logits=logits)
        from processor.results.attention_pictures import draw_maps  # matplotlib is loaded here, not before
        from processor.results.body_pictures import draw_bodies

        pictures = draw_maps(explained, subject.skeleton, folder, frames_of, order=order, bars=bars)
        pictures += draw_bodies(explained, subject.skeleton, folder, order=order)
        log.info("%s: %s in %s", title, plural(len(pictures), "picture"), folder)


def _run(
    weights: Path | None, config: str | None, class_names: Path | None, changes: Sequence[str]
) -> tuple[Run, Path]:
    """The test of a configuration, or of that which the weights hold; and the folder for what explains it."""
    if config is not None:
        options = {"weights": weights, "class_names": class_names}
        words = [word for key, value in options.items() if value for word in (f"--{key}", str(value))]
        first = jobs_of(load_study(["--config", config, "--phase", "test", *words, *changes]))[0].config
        # compiled for batches of many sizes, a model would be slower
        return open_test(replace(first, compile=False)), first.work_dir / "explain"
    if weights is None:
        raise ValueError("explain: name the weights (--weights W), a configuration (--config C), or both")
    held = replace(config_of(read_weights(weights)), weights=weights, work_dir=weights.parent)
    if class_names is not None:
        held = replace(held, class_names=list(class_names_in(class_names)))
    return open_test(held), weights.parent / "explain"


@contextmanager
def _recordings(
    weights: Path, paths: Sequence[Path], config: str | None, class_names: Path | None, changes: Sequence[str]
) -> Iterator[Subject]:
    """Recordings as the model of these weights takes them."""
    (trained,) = load_trained([weights], config=config, class_names=class_names, words=changes)
    recognizer = Recognizer([trained])
    names, rows = [], []
    for recording in recognizer.recordings(paths):
        try:
            rows.append(trained.row(trained.fit(recording)))
            names.append(recording.name)
        except ValueError as error:
            recognizer.skipped.append(f"{recording.name}: {error}")
    if not rows:
        raise ValueError(f"input: no recording can be explained; {recognizer.skipped[-1]}")
    for line in (*recognizer.notes, *(f"skipped {problem}" for problem in recognizer.skipped)):
        log.warning(line)
    with trained.opened(rows) as feeder:
        feeder.sample_name = names
        skeleton = trained.data.skeleton or _numbered(trained.data.shape[2])
        names_of_classes = trained.class_names if trained.named else None
        yield Subject(trained.model, trained.device, str(weights), feeder, None, names_of_classes, skeleton)


def _numbered(V: int) -> Skeleton:
    """A skeleton without bones, whose joints have numbers for names."""
    return Skeleton("joints by number", tuple(map(str, range(V))), tuple(range(V)))


def _samples(feeder: Any, names: Sequence[str]) -> dict[str, list[int]]:
    known = {name: index for index, name in enumerate(feeder.sample_name)}
    pairs = match(names, known)  # a name may lack its suffix
    for name, problem in pairs.problems.items():
        raise ValueError(
            f"sample: no test sample is named {name!r}{f' ({problem})' if problem else ''}; "
            f"there are {plural(len(known), 'sample')}, for example {next(iter(known))}"
        )
    return {found: [known[found]] for found in pairs.found.values()}


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


def folder_names(titles: Iterable[str]) -> list[str]:
    """Titles as names of folders on every system, all different, also where upper and lower case count as equal."""
    names: list[str] = []
    taken: set[str] = set()
    for title in titles:
        plain = re.sub(r"[^\w.-]+", "_", title).strip("._")[:80] or "explained"
        names.append(next(name for n in count(1) if (name := plain if n == 1 else f"{plain}_{n}").lower() not in taken))
        taken.add(names[-1].lower())
    return names


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
    explained = Explained(title, seen, numbers, body)
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
    spread = np.unique(np.linspace(0, len(indices) - 1, MOST_SCORED).round().astype(int)) if len(indices) > 1 else [0]
    scored = [indices[i] for i in spread]
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
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_text(folder / EXPLANATION, text.encode("utf-8", "backslashreplace").decode())


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
