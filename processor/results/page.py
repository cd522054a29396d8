"""The report of a run as one file, `report.html`: it needs no network, and draws what is heavy when it is asked for.

`page.html` is its template, `page.css` and `page.js` go into it. What people named (classes, samples, paths) reaches
the page escaped by jinja2 or as text set by the script, never as HTML.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from graph.common.files import write_text
from processor.results.embedding import FEWEST, embed
from processor.results.history import read_curves
from processor.results.provenance import Made, fingerprint, provenance
from processor.results.scores import REPORT, Scores
from processor.results.skeletons import Skeletons
from processor.results.statistics import wilson
from processor.runtime.failure import sentence

log = logging.getLogger(__name__)

MOST_MISTAKES = 12  # of each kind
MOST_TOKENS = 100  # of a map of attention; of more, every second or further one is shown
MOST_BYTES = 3_000_000  # of skeletons; mistakes come first


def write_page(folder: Path, scores: Scores, class_names: Sequence[str] | None, made: Made) -> None:
    """Write `report.html`, complete or not at all.

    Raises:
        ValueError: the labels of the scores are not known.
    """
    write_text(folder / REPORT, page(folder, scores, class_names, made))


def page(folder: Path, scores: Scores, class_names: Sequence[str] | None, made: Made) -> str:
    """The report of the run in `folder` as HTML."""
    names = list(class_names or map(str, range(scores.scores.shape[1])))
    labels, chance = scores.known_labels, torch.from_numpy(scores.scores).double().softmax(dim=1).numpy()
    guesses, rows = scores.scores.argmax(axis=1), np.arange(len(labels))
    sure, of_label = chance[rows, guesses], chance[rows, labels]
    wrong = np.flatnonzero(guesses != labels)
    confident = wrong[np.argsort(-sure[wrong], kind="stable")][:MOST_MISTAKES].tolist()
    worst = wrong[np.argsort(of_label[wrong], kind="stable")][:MOST_MISTAKES].tolist()
    right = np.flatnonzero(guesses == labels)
    surest = right[np.argsort(-sure[right], kind="stable")][:1].tolist()
    looked_at = list(dict.fromkeys([*surest, *confident[:1], *worst[:1]]))
    data = {
        "classes": names,
        "names": scores.names,
        "label": labels.tolist(),
        "guess": guesses.tolist(),
        "sure": (1000 * sure).round().astype(int).tolist(),
        "chance": (1000 * of_label).round().astype(int).tolist(),
        "mistakes": {"confident": confident, "worst": worst},
        "curves": read_curves(folder),
        "skeletons": _skeletons(made, len(labels), _by_interest(labels, guesses, [*looked_at, *confident, *worst])),
        "embedding": _embedding(made),
        "attention": _attention(made, looked_at),
    }
    correct = int((guesses == labels).sum())
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return templates.get_template("page.html").render(
        title=folder.resolve().name,
        facts=_facts(folder, made, len(labels), len(names)),
        config=made.config,
        accuracy=_accuracy(correct, len(labels)),
        top5=scores.top_k(5) if len(names) > 5 else None,
        wrong=len(wrong),
        classes=_classes(scores.confusion(), names),
        has_curves=bool(data["curves"]),
        has_attention=bool(data["attention"]),
        data=data,
    )


def _facts(folder: Path, made: Made, samples: int, classes: int) -> dict[str, str]:
    """Lines of text by their titles: what was run, on what and when."""
    facts = {"folder": str(folder.resolve()), "weights": made.weights}
    facts["written"] = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z")
    facts["time"] = f"{made.seconds / 60:.1f} minutes of training" if made.seconds else ""
    facts["seed"] = str(made.seed)
    facts["test data"] = f"{samples:,} samples, {classes:,} classes"
    for part, args in made.data.items():
        if digits := fingerprint(args):
            facts[f"{part} fingerprint"] = f"{digits} ({args['data_path']})"
    return {key: value for key, value in {**facts, **provenance(made.device, made.precision)}.items() if value}


def _accuracy(correct: int, total: int) -> dict[str, Any]:
    low, high = wilson(correct, total)
    return {"correct": correct, "total": total, "share": correct / total, "low": low, "high": high}


def _classes(counts: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each class: its accuracy, and the class that it is taken for most often."""
    table = []
    for label, (name, taken) in enumerate(zip(names, counts, strict=True)):
        total, correct = int(taken.sum()), int(taken[label])
        row = {"number": label, "name": name, "total": total}
        if total:
            taken[label] = 0
            other = int(taken.argmax())
            mixed = {"other": other, "other_name": names[other], "times": int(taken[other])} if taken.any() else {}
            row |= {**_accuracy(correct, total), **mixed}
        table.append(row)
    return table


def _by_interest(labels: np.ndarray, guesses: np.ndarray, first: Sequence[int]) -> list[int]:
    """The samples in the order in which their skeletons are kept: `first`, then by turns one of each cell."""
    cell = labels * (guesses.max() + 1) + guesses
    order = np.argsort(cell, kind="stable")
    begins = np.flatnonzero(np.diff(cell[order], prepend=-1))
    turn = np.empty(len(cell), int)  # which sample of its cell
    turn[order] = np.arange(len(cell)) - np.repeat(begins, np.diff(begins, append=len(cell)))
    return list(dict.fromkeys([*first, *np.lexsort((guesses == labels, turn)).tolist()]))


def _skeletons(made: Made, samples: int, order: Sequence[int]) -> dict[str, Any]:
    """The skeletons of samples as far as they have room; without any, `why` says why."""
    path = made.data.get("test", {}).get("data_path")
    if not isinstance(path, str) or not Path(path).is_file():
        return {"why": "the test data are no array here", "of": {}}
    try:
        skeletons = Skeletons(path)
    except (ValueError, OSError) as error:
        return {"why": sentence(error), "of": {}}
    if len(skeletons.data) < samples:  # of a feeder that gives more than the array holds
        return {"why": f"{path} holds fewer samples than were tested", "of": {}}
    kept: dict[int, dict[str, Any]] = {}
    room = MOST_BYTES
    for i in order:
        if (played := skeletons.quantised(i)) is not None:
            room -= len(played["x"]) + 40
            if room < 0:
                break
            kept[i] = played
    return {**skeletons.about(list(kept)[:20]), "of": kept}


def _embedding(made: Made) -> dict[str, Any]:
    """The features in a plane, in thousandths; without them, `why` says why."""
    if made.features is None:
        return {"why": "the model has no last linear layer that sees one vector a sample", "index": [], "xy": []}
    indices, features = made.features
    if len(indices) < FEWEST:
        return {"why": f"{FEWEST} samples are needed, there are {len(indices)}", "index": [], "xy": []}
    plane, by = embed(features)
    return {"index": indices.tolist(), "xy": (1000 * plane).round().astype(int).tolist(), "by": by}


def _attention(made: Made, indices: Sequence[int]) -> list[dict[str, Any]]:
    """The attention of samples, one entry for each sample and kind; maps in 255ths between least and most."""
    shown = []
    try:
        looks = [(index, one) for index in indices for one in (made.glance(index) if made.glance else [])]
    except Exception as error:  # of a user's model, for example; the rest of the report is worth more
        log.warning("the report shows no attention: %s", sentence(error))
        return []
    for index, one in looks:
        maps = {}
        for name, A in one["blocks"].items():
            small = A[:: -(-len(A) // MOST_TOKENS), :: -(-len(A) // MOST_TOKENS)]
            least, most = float(small.min()), float(small.max())
            x = (255 * (small - least) / ((most - least) or 1)).round().astype(np.uint8)
            ends = {"least": least * len(A), "most": most * len(A)}  # in equal shares
            maps[name] = {"side": len(small), **ends, "x": b64encode(x.tobytes()).decode()}
        received = (one["received"] * len(one["received"])).round(3).tolist()
        gains = {key: round(one[key], 4) for key in ("deletion_gain", "insertion_gain")}
        shown.append({"sample": index, "kind": one["kind"], "blocks": maps, "received": received, **gains})
    return shown
