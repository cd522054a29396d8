"""Explains a model: attention of its blocks, how much joints, frames and persons count, and a score for each of it.

`python main.py --phase explain --weights W (--sample NAME ... | --class NAME ... | --input RECORDING ...)`. In a folder
for each sample, class or recording are written `attention.npz`, `attribution.npz`, `explanation.json` and pictures.
"""

from __future__ import annotations

import logging
import re
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from data_gen.common.names import match
from feeders.arrays import class_names_in
from graph.common.files import check_folder
from graph.common.words import did_you_mean, few_of, plural
from processor.config.schema import load_study
from processor.engine.attention import frames_of
from processor.engine.attribution import captum_is_there
from processor.engine.jobs import jobs_of
from processor.engine.setup import Run, open_test
from processor.state.weights import read_weights
from processor.tools.explanation import Subject, explain_samples, numbered
from processor.tools.inputs import check_paths
from processor.tools.phase import PhaseParser, of_weights
from processor.tools.predict import Recognizer
from processor.tools.trained import config_of, load_trained

log = logging.getLogger(__name__)


def parser() -> PhaseParser:
    """The options of the command."""
    words = PhaseParser(
        "explain",
        description="Show what a model attends to and what its decisions are based on, with a score for each "
        "explanation. Name test samples (--sample), classes (--class) or recordings (--input).",
        epilog="With --config, keys of the configuration can be given, too. See docs/explaining.md.",
    )
    words.option("weights", type=Path, help="last.pt or best.pt of a run (default: last.pt in work_dir of --config)")
    words.option("sample", nargs="+", action="extend", help="names of test samples")
    words.option(
        "class", nargs="+", action="extend", help="classes, by name or number from 0: the mean over their test samples"
    )
    words.option("input", type=Path, nargs="+", action="extend", help="files or folders of recordings, in any format")
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
            "explain: name samples of the test (--sample NAME), classes (--class NAME), or recordings (--input FILE), "
            "one of the three"
        )
    if args.logits and of_class:
        raise ValueError("logits: are those of a sample; name one with --sample, or leave --logits out")
    if args.out:
        check_folder(args.out, "out")
    if args.input:
        if args.weights is None:
            raise ValueError("explain: --input needs the weights, too (--weights W)")
        check_paths(args.input)
        with _recordings(args, changes) as subject:
            chosen = {}
            for index, name in enumerate(subject.feeder.sample_name):
                chosen[f"{name} {index}" if name in chosen else name] = [index]
            explain(subject, chosen, args.out or args.weights.parent / "explain", **how)
        return 0
    run, out = _run(args, changes)
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


def _run(args: Namespace, changes: Sequence[str]) -> tuple[Run, Path]:
    """The test of a configuration, or of that which the weights hold; and the folder for what explains it."""
    device = {"device": args.device} if args.device else {}
    if args.config is not None:
        options = {"weights": args.weights, "class_names": args.class_names}
        words = [word for key, value in options.items() if value for word in (f"--{key}", str(value))]
        first = jobs_of(load_study(["--config", args.config, "--phase", "test", *words, *changes]))[0].config
        # compiled for batches of many sizes, a model would be slower
        return open_test(replace(first, compile=False, **device)), first.work_dir / "explain"
    if args.weights is None:
        raise ValueError("explain: name the weights (--weights W), a configuration (--config C), or both")
    folder = args.weights.parent
    held = replace(config_of(read_weights(args.weights)), weights=args.weights, work_dir=folder, **device)
    if args.class_names is not None:
        held = replace(held, class_names=list(class_names_in(args.class_names)))
    return open_test(held), folder / "explain"


@contextmanager
def _recordings(args: Namespace, changes: Sequence[str]) -> Iterator[Subject]:
    """Recordings as the model takes them."""
    (trained,) = load_trained([args.weights], **of_weights(args, changes))
    recognizer = Recognizer([trained])
    names, rows = [], []
    for recording in recognizer.recordings(args.input):
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
        skeleton = trained.data.skeleton or numbered(trained.data.shape[2])
        names_of_classes = trained.class_names if trained.named else None
        yield Subject(trained.model, trained.device, str(args.weights), feeder, None, names_of_classes, skeleton)


def _samples(feeder: Any, names: Sequence[str]) -> dict[str, list[int]]:
    known = {name: index for index, name in enumerate(feeder.sample_name)}
    pairs = match(names, known)  # a name may lack its suffix
    for name, problem in pairs.problems.items():
        raise ValueError(
            f"sample: no test sample is named {name!r}{f' ({problem})' if problem else ''}; "
            f"there are {plural(len(known), 'sample')}, for example {next(iter(known))}"
        )
    return {full: [known[full]] for full in pairs.paired.values()}


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
                f"classes are {few_of(known, 8)}"
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
