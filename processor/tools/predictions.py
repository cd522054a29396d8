"""`python main.py --phase predict`: its command line, its table, and the files that it writes."""

from __future__ import annotations

import csv
import json
import logging
import re
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from data_gen.common.drawing import Figure, new_figure, plain_style, save_png, shown
from graph.common.files import atomic_write, check_folder
from graph.common.words import plural, table
from processor.tools.inputs import check_paths
from processor.tools.phase import PhaseParser, of_weights
from processor.tools.predict import Recognizer
from processor.tools.trained import load_trained

log = logging.getLogger(__name__)

MOST_LINES = 40  # of the table on the terminal
MOST_ROWS = 60  # of the picture
MARKS = {  # which files of predictions hold near their beginning
    ".json": rb'\A(\Z|\[\]|\[\n \{\n  "recording")',
    ".csv": rb"\A(\Z|recording,person,start,end)",
    ".png": rb"\A(\Z|\x89PNG.*Title\0st_tr predictions)",
}
COLORS = (
    "#3079b6", "#e07b39", "#3a9a5b", "#c0392b", "#7d5ba6", "#8c6d46", "#d46aa6", "#59636e", "#a8a432", "#33a3b3",
)  # fmt: skip


def parser() -> PhaseParser:
    """The options of the command."""
    words = PhaseParser(
        "predict",
        description="Label recordings with a trained model, or with several models, whose logits are added.",
        epilog="With --config, keys of the configuration can be given, too. See docs/predicting.md.",
    )
    words.option(
        "input",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        help="files or folders of recordings, in any format",
    )
    words.option("out", type=Path, help="FILE.json: writes it, FILE.csv and, with --window, the picture FILE.png")
    words.option("window", type=float, help="length of windows in seconds; without it whole recordings are labelled")
    words.option("every", type=float, help="seconds from the start of a window to the next (default: --window)")
    words.option("frame_rate", type=float, help="frames a second, in place of what recordings tell")
    add_options(words)
    return words


def add_options(words: PhaseParser) -> None:
    """Adds the options of all phases that label."""
    words.option(
        "weights",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        help="last.pt or best.pt of a run, one or several",
    )
    words.option(
        "alpha", type=float, nargs="+", action="extend", help="a weight for each file of weights; 1 by default"
    )
    words.option(
        "top_k", type=int, default=5, help="number of labels that are listed, the likeliest first (default: 5)"
    )
    words.option("per_person", action="store_true", help="a label for each person")


def main(argv: Sequence[str]) -> int:
    """Labels what the command line names; returns the exit status.

    Raises:
        ValueError: a user's mistake, or no recording could be used.
    """
    args, changes = parser().read(argv)
    check_paths(args.input)
    is_timed = args.window is not None
    out = stem_of(args.out, [*args.weights, *args.input], "out", picture=is_timed) if args.out else None
    asked = {key: getattr(args, key) for key in ("top_k", "window", "every", "per_person", "frame_rate")}
    recognizer = load(args, changes)
    notes: dict[str, dict[str, None]] = {}  # the recordings of each note, in order
    rows: list[dict[str, Any]] = []
    for prediction in recognizer.predict(recognizer.recordings(args.input), **asked):
        for note in prediction.notes:
            notes.setdefault(note, {})[prediction.recording] = None
        rows.append(prediction.as_plain())
    for note, names in notes.items():
        more = f" and {plural(len(names) - 1, 'other')}" if len(names) > 1 else ""
        log.warning("%s%s: %s", next(iter(names)), more, note)
    for problem in recognizer.skipped[: None if rows else -1]:  # the last one is in the error
        log.warning("skipped %s", problem)
    if not rows:
        last = f"; {recognizer.skipped[-1]}" if recognizer.skipped else ""
        raise ValueError(f"input: no recording could be labelled{last}")
    sys.stdout.writelines(f"{line}\n" for line in lines(rows, timed=is_timed))
    if out:
        for path in write(out, rows, picture=is_timed):
            log.info("wrote %s", path)
    return 0


def load(args: Namespace, changes: Sequence[str]) -> Recognizer:
    """The models that the options of `add_options` name; what a user should know of them is logged."""
    recognizer = Recognizer(load_trained(args.weights, **of_weights(args, changes)), args.alpha)
    for note in recognizer.notes:
        log.warning(note)
    return recognizer


def stem_of(path: Path, read: Iterable[Path], option: str, *, picture: bool = False) -> Path:
    """The path without its suffix, if the files of predictions can be written there, and replace no others."""
    if path.is_dir() or path.suffix.lower() not in ("", ".json", ".csv"):
        raise ValueError(f"{option}: {path} is no name of a .json or .csv file; name one, such as predictions.json")
    check_folder(path.parent, option)
    stem = path.with_suffix("") if path.suffix else path
    taken = {each.resolve() for each in read}
    for suffix in (".json", ".csv", *[".png"] * picture):
        if (file := Path(f"{stem}{suffix}")).resolve() in taken:
            raise ValueError(f"{option}: {file} is one of the files that are read; name another")
        if file.exists() and not (file.is_file() and _is_of_predictions(file)):
            raise ValueError(f"{option}: {file} would be replaced, and is no earlier prediction; name another")
    return stem


def _is_of_predictions(file: Path) -> bool:
    """Whether `write` has written a file; an empty one counts."""
    with file.open("rb") as content:
        return bool(re.match(MARKS[file.suffix], content.read(400), re.DOTALL))


def lines(rows: Sequence[dict[str, Any]], *, timed: bool) -> list[str]:
    """The table of predictions, cut where it is long."""
    persons = any(row["person"] is not None for row in rows)
    head = ["recording", *["person"] * persons, *["time"] * timed, "label", "probability", "then"]
    cells = [head]
    for row in rows[:MOST_LINES]:
        then = ", ".join(f"{other['label']} {100 * other['probability']:.0f} %" for other in row["top_k"][1:3])
        about = [row["recording"], *[str(row["person"])] * persons, *[_time(row)] * timed]
        cells.append([*about, row["label"], f"{100 * row['probability']:.1f} %", then])
    more = [f"and {len(rows) - MOST_LINES:,} more lines, which --out writes"] if len(rows) > MOST_LINES else []
    return table(cells) + more


def _time(row: dict[str, Any]) -> str:
    if row["start_seconds"] is None:
        return f"{row['start']}-{row['end']}"
    return f"{row['start_seconds']:.2f}-{row['end_seconds']:.2f} s"


def write(stem: Path, rows: Sequence[dict[str, Any]], *, picture: bool) -> Iterator[Path]:
    """Writes the files of predictions, and yields their paths."""
    with tables(stem) as add:
        for row in rows:
            add(row)
    yield from table_paths(stem)
    if picture:
        path = Path(f"{stem}.png")
        with atomic_write(path) as temporary:
            save_png(temporary, draw(rows), cut=True, title="st_tr predictions")
        yield path


def table_paths(stem: Path) -> tuple[Path, Path]:
    """The files that `tables` writes."""
    return Path(f"{stem}.json"), Path(f"{stem}.csv")


@contextmanager
def tables(stem: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Takes predictions one by one, and writes them to a JSON and a CSV file, which appear when the block ends."""
    with ExitStack() as files:
        temporary = [files.enter_context(atomic_write(path)) for path in table_paths(stem)]
        json_file = files.enter_context(temporary[0].open("w", encoding="utf-8", errors="backslashreplace"))
        csv_file = files.enter_context(temporary[1].open("w", encoding="utf-8", errors="backslashreplace", newline=""))
        is_first, cells = True, csv.writer(csv_file)

        def add(row: dict[str, Any]) -> None:
            nonlocal is_first
            plain, others = [key for key in row if key != "top_k"], row["top_k"][1:]
            if is_first:
                ranks = range(2, 2 + len(others))
                cells.writerow([*plain, *(f"{name}_{rank}" for rank in ranks for name in ("label", "probability"))])
            text = json.dumps(row, ensure_ascii=False, indent=1)
            json_file.write(("[" if is_first else ",") + f"\n{text}".replace("\n", "\n "))
            more = (value for other in others for value in (other["label"], other["probability"]))
            cells.writerow([*(row[key] for key in plain), *more])
            is_first = False

        yield add
        json_file.write("[]\n" if is_first else "\n]\n")


@plain_style()
def draw(rows: Sequence[dict[str, Any]]) -> Figure:
    """A timeline: a row for each recording or person, time to the right, a colour for each label."""
    every = [list(group) for _, group in groupby(rows, key=lambda row: (row["recording"], row["person"]))]
    groups = every[:MOST_ROWS]
    counts = Counter(row["label"] for group in groups for row in group)
    color = {label: COLORS[i % len(COLORS)] for i, (label, _) in enumerate(counts.most_common(len(COLORS) - 1))}
    unit = "seconds" if all(row["start_seconds"] is not None for group in groups for row in group) else "frames"
    begin, end = ("start_seconds", "end_seconds") if unit == "seconds" else ("start", "end")
    figure = new_figure(9, 0.8 + 0.35 * len(groups))
    axes = figure.add_axes((0, 0, 1, 1))
    for y, group in enumerate(groups):
        following = [row[begin] for row in group[1:]] + [group[-1][end]]
        for row, after in zip(group, following, strict=True):  # a window's colour ends where the next one begins
            width = min(row[end], max(after, row[begin])) - row[begin]
            axes.barh(y, width, left=row[begin], height=0.7, color=color.get(row["label"], "#c9ced6"), linewidth=0)
    titles = [
        ", ".join(str(group[0][key]) for key in ("recording", "person") if group[0][key] is not None)
        for group in groups
    ]
    axes.set_yticks(range(len(groups)), shown(titles), fontsize=8)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    more = f" (the first {MOST_ROWS} of {len(every)}; the tables have all)" if len(every) > MOST_ROWS else ""
    axes.set_xlabel(f"{unit}{more}", fontsize=8)
    axes.tick_params(labelsize=8)
    for label, text in zip(color, shown(list(color)), strict=True):
        axes.barh(0, 0, color=color[label], label=text)
    if len(counts) > len(color):
        axes.barh(0, 0, color="#c9ced6", label="other labels")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, frameon=False)
    return figure
