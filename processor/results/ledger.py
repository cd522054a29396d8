"""The ledger of a study: what each stream and each fusion reaches, and all that one must know to believe it.

`results.csv` holds everything, a row for each stream and fusion; `results.md` and `results.tex` are made of its rows
alone, and `page` joins the ledgers of a folder: docs/results.md is the page of docs/results/.

Accuracies are those of the last epoch. With folds they are means over folds, with several seeds means over seeds, with
the standard deviation over seeds. The 95 % interval is Wilson's, of the mean accuracy on so many test samples; it tells
what other test samples would change, not other seeds. `clean` accuracies leave out the test samples that are also
training samples, number for number.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from feeders.arrays import load_labels, read_chunks
from graph.common.files import write_csv, write_text
from graph.common.words import plural
from processor.results.fusion import fuse
from processor.results.scores import SCORE, Scores, load_scores
from processor.results.statistics import wilson
from processor.results.tables import latex_table, markdown_table

RESULT = "result.json"  # in the folder of each run of a study: what the ledger tells of it
LEDGER, NOTES = "results", "notes.md"
PAGE = """# Results

Each section is the ledger of a study, one command that trains everything in it; accuracies of the last epoch, with
weights of fusion that were fixed before. The files are in `docs/results/`, and `python docs/make_results.py` makes this
page of them. A study that has no section here has not been run with this code.
"""
Member = tuple[str, str]  # a model and a stream
Entry = dict[str, str]  # a row of `results.csv`
DATA = ("data_train", "data_test")
ABOUT = ("precision", "device", "program", "libraries", "machine")


@dataclass(frozen=True)
class Finished:
    """A run of a study that has ended."""

    member: Member
    seed: int
    fold: int | None
    scores: Scores
    about: Mapping[str, Any]  # the content of `result.json`

    @classmethod
    def read(cls, folder: Path, member: Member, seed: int, fold: int | None) -> Finished:
        """The run in a folder, which holds `result.json` and its scores."""
        return cls(member, seed, fold, load_scores(folder / SCORE), about_run(folder))


def about_run(folder: Path) -> dict[str, Any]:
    """What the ledger tells of the run in a folder.

    Raises:
        ValueError: its file is damaged.
    """
    try:
        about = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        if not {"epoch", "data", "copies", *ABOUT} <= about.keys():
            raise ValueError("keys are missing")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{folder / RESULT} is damaged; remove it and give the command again") from error
    return about


@cache
def copies(train: str, train_label: str, test: str, test_label: str) -> tuple[str, ...] | None:
    """The names of the test samples whose numbers are those of a training sample; None: the paths are no arrays."""
    if not all(path.endswith(".npy") and Path(path).is_file() for path in (train, test)):
        return None
    learnt = {_digest(x.tobytes()) for chunk in read_chunks(train) for x in chunk}
    names = load_labels(test_label)[0]
    seen = [_digest(x.tobytes()) in learnt for chunk in read_chunks(test) for x in chunk]
    return tuple(name for name, is_copy in zip(names, seen, strict=True) if is_copy)


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


def ledger(study: str, runs: Sequence[Finished], weights: Mapping[Member, float]) -> list[Entry]:
    """The rows of a study: its members, then their fusions by the weights."""
    members = list(dict.fromkeys(run.member for run in runs))
    groups = [{member: 1.0} for member in members]
    fused = {member: weights[member] for member in members if weights.get(member)}
    for axis in (0, 1):
        groups += [
            {member: weight for member, weight in fused.items() if member[axis] == name}
            for name in dict.fromkeys(member[axis] for member in fused)
        ]
    groups.append(fused)
    different = {tuple(group): group for group in reversed(groups) if group}
    return [_row(study, runs, group) for group in reversed(different.values())]


def _row(study: str, runs: Sequence[Finished], group: Mapping[Member, float]) -> Entry:
    """What a member, or several with their weights, reach."""
    cells = {(run.seed, run.fold, run.member): run for run in runs if run.member in group}
    seeds, folds = list(dict.fromkeys(key[0] for key in cells)), list(dict.fromkeys(key[1] for key in cells))
    of_group, every = list(cells.values()), [[cells[seed, fold, m] for m in group] for seed in seeds for fold in folds]
    scores = [_fused(together, list(group.values())) for together in every]
    leaks = [[run.about["copies"] for run in together] for together in every]
    known = [None if None in names else set().union(*names) for names in leaks]
    row = {
        "study": study,
        "name": " + ".join("/".join(filter(None, member)) or study for member in group),
        "weights": " ".join(f"{weight:g}" for weight in group.values()) if len(group) > 1 else "",
        "seeds": " ".join(map(str, seeds)),
        "folds": " ".join(str(fold) for fold in folds if fold is not None),
        **_accuracy("", scores, len(seeds), lambda s: s),
        **_accuracy("clean_", scores, len(seeds), _without(known)),
        "copies": "" if None in known else str(sum(len(names or ()) for names in known[: len(folds)])),
        "epoch": _all(run.about["epoch"] for run in of_group),
        "parameters": _sum(of_group, group, "parameters"),
        "flops": _sum(of_group, group, "flops"),
        "minutes": f"{sum(run.about['seconds'] for run in of_group) / 60 / len(seeds):.1f}",
    }
    for key in DATA:
        prints = list(dict.fromkeys(run.about["data"].get(key.removeprefix("data_"), "") for run in of_group))
        row[key] = prints[0] if len(prints) == 1 else _digest(" ".join(prints).encode()).hex()[:16]
    return row | {key: _all(run.about[key] for run in of_group) for key in ABOUT}


def _fused(runs: Sequence[Finished], alpha: Sequence[float]) -> Scores:
    titles = ["/".join(run.member) for run in runs]
    return fuse([run.scores for run in runs], alpha, titles=titles) if len(runs) > 1 else runs[0].scores


def _without(known: Sequence[set[str] | None]) -> Callable[[Scores], Scores | None]:
    """Takes the samples of scores that are no copies; None where that is unknown, or where nothing is a copy."""
    seen = None if None in known else set().union(*(names or () for names in known))

    def take(scores: Scores) -> Scores | None:
        clean = [name for name in scores.names if name not in seen] if seen else []
        return scores.take(clean) if clean else None

    return take


def _accuracy(
    prefix: str, scores: Sequence[Scores], num_seed: int, take: Callable[[Scores], Scores | None]
) -> dict[str, str]:
    """Mean, deviation and interval in per cent, of scores in the order of seeds and, for each, of folds."""
    keys = [f"{prefix}{key}" for key in ("samples", "top1", "sd", "low", "high")]
    taken = [take(s) for s in scores]
    known = [s for s in taken if s is not None]
    if not known or len(known) < len(taken):
        return dict.fromkeys(keys, "")
    per_seed = len(known) // num_seed
    number = sum(len(s.names) for s in known[:per_seed])
    tops = [statistics.mean(s.top_k(1) for s in known[i : i + per_seed]) for i in range(0, len(known), per_seed)]
    top = statistics.mean(tops)
    numbers = [top, statistics.stdev(tops) if num_seed > 1 else None, *wilson(top * number, number)]
    return dict(zip(keys, [str(number), *("" if x is None else f"{100 * x:.2f}" for x in numbers)], strict=True))


def _all(values: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value not in (None, "")))


def _sum(runs: Sequence[Finished], group: Iterable[Member], key: str) -> str:
    """The sum over members; "" where one is unknown."""
    values = [next(run.about[key] for run in runs if run.member == member) for member in group]
    return "" if None in values else str(sum(values))


def write_ledger(folder: Path, rows: Sequence[Entry]) -> None:
    """Writes `results.csv`, `results.md` and `results.tex`."""
    write_csv(folder / f"{LEDGER}.csv", [list(rows[0]), *(list(row.values()) for row in rows)])
    write_text(folder / f"{LEDGER}.md", markdown(rows))
    write_text(folder / f"{LEDGER}.tex", latex_table(table(rows)))


def read_ledger(path: Path) -> list[Entry]:
    """The rows of a `results.csv`."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(rows: Sequence[Entry]) -> list[list[str]]:
    """The table of a ledger, its head first; columns that no row fills are left out."""
    clean = {row["clean_samples"] for row in rows} - {""}
    cells = [_cells(row, f"{min(clean)} clean: " if len(clean) == 1 else "clean: ") for row in rows]
    kept = [key for key in cells[0] if any(row[key] for row in cells)]
    return [kept, *([row[key] for key in kept] for row in cells)]


def _cells(row: Entry, clean: str) -> Entry:
    return {
        "stream or fusion": row["name"],
        "weights": row["weights"],
        "top-1 %": row["top1"],
        "SD of seeds": row["sd"],
        "95 % interval": f"{row['low']} to {row['high']}",
        f"{clean}top-1 %": row["clean_top1"],
        f"{clean}SD": row["clean_sd"],
        f"{clean}95 %": f"{row['clean_low']} to {row['clean_high']}" if row["clean_top1"] else "",
        "last epoch": row["epoch"],
        "parameters": f"{int(row['parameters']):,}" if row["parameters"] else "",
        "FLOPs": f"{float(row['flops']) / 1e9:.2f} G" if row["flops"] else "",
        "minutes": row["minutes"],
    }


def markdown(rows: Sequence[Entry]) -> str:
    """A ledger in Markdown."""
    first = rows[0]
    leaks = f"{first['copies']} of them are also training samples" if first["copies"] else "copies were not counted"
    leaks = "none of them is a training sample" if first["copies"] == "0" else leaks
    folds = f", mean of folds {first['folds']}" if first["folds"] else ""
    facts = [
        f"`python main.py --config {first['study']}`; seeds {first['seeds']}{folds}; last epoch.",
        f"{plural(int(first['samples']), 'test sample')}; {leaks}. Minutes are those of training, for one seed.",
        "Fingerprint of the data: training {}, test {}.".format(*(_all(row[key] for row in rows) for key in DATA)),
        *(f"{key.capitalize()}: {_all(row[key] for row in rows)}." for key in ABOUT),
    ]
    return f"## {first['study']}\n\n{markdown_table(table(rows))}\n\n" + "".join(f"- {fact}\n" for fact in facts)


def page(folder: Path) -> str:
    """docs/results.md: the ledgers `*/results.csv` of a folder by name, each with the `notes.md` beside it."""
    parts = [PAGE]
    for path in sorted(folder.glob(f"*/{LEDGER}.csv")):
        notes = path.with_name(NOTES)
        parts += [markdown(read_ledger(path)), notes.read_text(encoding="utf-8") if notes.is_file() else ""]
    return "\n".join(part for part in parts if part)
