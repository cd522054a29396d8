"""Converts your own recordings: `python data_gen/custom_gendata.py --data_path FOLDER --label_path FILE ...`.

FOLDER and its subfolders hold a file for each recording, or a folder with a file for each frame, in any format that
`data_gen/formats/reading.py` knows (docs/own_skeletons.md has a table of them); the content of a file tells its format.
Instead of FOLDER, name one file that holds many recordings (a pickle of pyskl, `.npz`); if it holds labels and splits,
no list of labels is needed. `graph/custom.py` describes the skeleton file.

Labels come from a list (a CSV file, or as `data_gen/formats/labels.py` describes it), from the names of the files, as
with `--names "a{label}_s{performer}_e*" --val performer=2,4,6-8`, or from the files, if these hold them.

Writes, in the order of the recordings' names, which keep their suffix:

- `{out_folder}/{train,val}_data_joint.npy` (N, C, T, V, M) float32, the coordinates as recorded. T is the longest
  recording of both parts or `--max_frame`, M the most persons or `--num_person`; the rest is zero.
- the files that belong to them (`feeders/arrays.py`): `{part}_label.pkl`, `{part}_length.npy`, `{part}_missing.npy`,
  `classes.txt`, `prepared.yaml`, and `skeleton.yaml`, a copy of the skeleton file.
- `_base.yaml`, a configuration for these arrays, which `main.py --config {out_folder}/s-tr.yaml` and other models build
  on; a file of this name stays as it is.

A missing joint is zero in all channels, and the report counts missing joints. A recording without any joint is
skipped. Every file is read twice, for its size and for its numbers, so that memory holds one recording at a time.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_gen.common.command_line import Report, main_of, run
from data_gen.common.convert import Sample, convert_files, drop_unusual, made_by, read_each
from data_gen.common.names import files_below, match, nfc, walk
from data_gen.formats.labels import LABEL, Labels, Told, labels_in, labels_in_names, read_labels
from data_gen.formats.reading import is_folder_of_frames, read
from data_gen.formats.recording import Recording, outside_notes
from data_gen.formats.rows import Facts, Listed, Persons, forget, read_facts, read_row, read_told
from data_gen.formats.splits import NamePattern, validation
from feeders.arrays import CLASSES, JOINT, PARTS, SKELETON, beside
from feeders.arrays import LABEL as LABELS
from graph.channels import Channels
from graph.common.bounded_yaml import read_text
from graph.common.words import few_of, plural
from graph.common.yaml_text import dump
from graph.custom import load_skeleton
from graph.tools import Skeleton

CONFIG = "_base.yaml"  # what the names of configurations in its folder build on


def gendata(
    data_path: str | Path,
    label_path: str | Path | None = None,
    *,
    skeleton: str | Path,
    out_folder: str | Path,
    names: str | None = None,
    val: str | None = None,
    format: str = "auto",
    persons: Persons = "auto",
    max_frame: int | None = None,
    num_person: int | None = None,
    channel: int | None = None,
    frame_rate: float | None = None,
    strict: bool = False,
    num_worker: int = 1,
) -> Report:
    """Convert recordings; finished files are replaced only by complete ones.

    Args:
        data_path: the folder of the recordings, or a file that holds many.
        label_path: the list of labels: a CSV file with the columns file, label and split, UTKinect's actionLabel.txt,
            or PKU-MMD's folder of labels; not needed if names or the recordings themselves tell the labels.
        skeleton: the YAML file that describes the skeleton.
        out_folder: folder for the arrays.
        names: pattern of the files' names, such as a{label}_s{performer}_e*; {label} is the class, * any text.
        val: the recordings for validation: values of a field of `names`, such as performer=2,4,6-8, or a text file
            that lists them.
        format: the format of all files; `auto` recognises it by the content of each file.
        persons: the place of each person: `file`, as the file lists them; `track`, the same for the whole recording,
            by the tracker's number or by distance between frames; `auto`, track if the format lists persons by frame
            (except ntu and kinetics), otherwise file.
        max_frame: T of the arrays; by default that of the longest recording.
        num_person: M of the arrays; by default the most persons of a recording.
        channel: C; needed for text without a heading, if a line has several persons or more than three channels.
        frame_rate: frames a second, where the recordings do not tell; `--phase predict --window` counts seconds by it.
        strict: stop at the first file or line that cannot be used, instead of skipping it.
        num_worker: number of processes that read files.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: a wrong skeleton, list of labels, `names` or `val`, nothing to convert, no room on the disk, or
            (`strict`) a file or line that cannot be used.
    """
    data_path, out_folder, report = Path(data_path), Path(out_folder), Report(strict=strict)
    label_path = Path(label_path) if label_path else None
    forget()
    _check_options(max_frame=max_frame, num_person=num_person, channel=channel, frame_rate=frame_rate)
    bones, pattern = load_skeleton(skeleton), NamePattern(names) if names else None
    if not data_path.exists():
        raise FileNotFoundError(f"{data_path} is no folder; --data_path takes the folder of the recordings, or a file")
    reading: dict[str, Any] = {"skeleton": bones, "format": format, "channel": channel}
    if data_path.is_dir():
        labels, sources = _files(data_path, label_path, pattern, report, num_worker=num_worker, **reading)
    else:
        held = _recordings_of(data_path, report, **reading)
        if not held:
            raise report.failure(f"{data_path}: no recording can be used")
        known = {name: Told(recording.label, recording.split) for name, recording in held.items()}
        labels = _labels(label_path, pattern, held, report) or labels_in(data_path, known, report)
        labels, sources = _paired(labels, held, str(data_path), (label_path or data_path).name, report)
        num_worker = 1  # they are in memory
    nothing = f"{data_path}: no recording {f'that {label_path} lists ' if label_path else ''}can be used"
    if not labels.lines:
        raise report.failure(nothing)
    labels = _split(labels, val, pattern, str(label_path or data_path), report)
    kept = partial(read_facts, persons=persons, max_frame=max_frame, num_person=num_person, **reading)
    facts = dict(read_each(kept, sources, report, nothing=nothing, task="check", num_worker=num_worker))
    drop_unusual(facts, _channel_words, report, unit="file")
    T = max_frame or max(fact.num_frame for fact in facts.values())
    M = num_person or max(fact.num_person for fact in facts.values())
    channels = _common_channels(facts)
    row_shape = (len(channels.names), T, bones.num_point, M)
    rates = {fact.frame_rate or frame_rate for fact in facts.values()}
    model_args = _model_args(out_folder, row_shape, len(labels.classes))
    texts = {
        CLASSES: "".join(f"{name}\n" for name in labels.classes),
        SKELETON: read_text(Path(skeleton)),
    }
    config, place = _config(out_folder, bones, model_args, has_depth=not channels.is_flat), out_folder / CONFIG
    if not place.exists():
        texts[CONFIG] = config
    elif place.read_text(encoding="utf-8", errors="replace") != config:
        told = json.dumps(model_args, ensure_ascii=False)
        report.notes.append(f"{CONFIG} stays as it is, though other arrays or a person wrote it; these need {told}")
    convert_files(
        partial(read_row, persons=persons, max_frame=T, num_person=M, **reading),
        {name: sources[name] for name in facts},
        {name: Sample(name, labels.lines[name].label, (f"{labels.lines[name].part}_{JOINT}",)) for name in facts},
        report,
        folder=out_folder,
        arrays=[f"{part}_{JOINT}" for part in PARTS],
        row_shape=row_shape,
        nothing=nothing,
        task="write",
        unit="recording",
        num_worker=num_worker,
        texts=texts,
        channels=channels,
        frame_rate=rates.pop() if len(rates) == 1 else None,
        made=made_by(
            "custom_gendata.py",
            names=names,
            val=val,
            format=format,
            persons=persons,
            max_frame=max_frame,
            num_person=num_person,
            channel=channel,
        ),
    )
    report.notes += _notes(facts, labels, channels)
    empty = {*PARTS} - {labels.lines[name].part for name in facts}
    if not empty:
        report.notes.append(f"train a model with  python main.py --config {(out_folder / 's-tr.yaml').as_posix()}")
    else:
        part = "training" if "train" in empty else "validation"
        report.notes.append(f"no recording is for {part}: give a split or --val before you train a model")
    return report


def _check_options(**options: float | None) -> None:
    for option, value in options.items():
        least = 2 if option == "channel" else 1
        if value is not None and not least <= value < math.inf:
            raise ValueError(f"--{option} {value:g} must be at least {least}, and finite")


def _model_args(out_folder: Path, row_shape: tuple[int, int, int, int], num_class: int) -> dict[str, Any]:
    """What a configuration says of these arrays."""
    C, _, V, M = row_shape
    graph = {"graph": "graph.custom.Graph", "graph_args": {"path": (out_folder / SKELETON).as_posix()}}
    return {"num_class": num_class, "channel": C, "num_point": V, "num_person": M, **graph}


def _config(out_folder: Path, skeleton: Skeleton, model_args: dict[str, Any], *, has_depth: bool) -> str:
    """The text of a configuration for these arrays."""
    center = skeleton.root
    feeder_args: dict[str, dict[str, Any]] = {}
    for part in PARTS:
        array = out_folder / f"{part}_{JOINT}"
        paths = {"data_path": array.as_posix(), "label_path": beside(array, LABELS).as_posix()}
        feeder_args[part] = {**paths, "center": center}
    turns = {"random_rotation": [0, 30, 0]} if has_depth else {}
    feeder_args["train"] |= {**turns, "random_scaling": [0.8, 1.2]}
    fields = {
        "_base_": "config/custom/_base.yaml",
        "train_feeder_args": feeder_args["train"],
        "test_feeder_args": feeder_args["val"],
        "model_args": model_args,
    }
    notes = [
        "Training on the recordings that custom_gendata.py converted; docs/training.md describes all keys.",
        f"center: the origin of a sequence is joint {center}, {skeleton.joints[center]}, of its first frame.",
        "center and random_scaling act with `min_max: false`; min_max of config/custom/_base.yaml undoes both.",
        *(["random_rotation: degrees about x, y and z; [0, 0, 30] if z points upwards."] if has_depth else []),
    ]
    return "".join(f"# {note}\n" for note in notes) + dump(fields)


def _labels(path: Path | None, pattern: NamePattern | None, names: Iterable[str], report: Report) -> Labels | None:
    """The labels of a list, or of the names of recordings; None: neither is given."""
    if path is not None:
        return read_labels(path, report)
    return labels_in_names(pattern, names, report) if pattern and LABEL in pattern.fields else None


def _files(
    data_path: Path, label_path: Path | None, pattern: NamePattern | None, report: Report, **reading: Any
) -> tuple[Labels, dict[str, Listed]]:
    """The labels of files or folders by their names relative to the data's folder, in order, and these."""
    files = files_below(data_path)
    if label_path:  # it may lie among the recordings
        hidden = label_path.resolve()
        files = {name: path for name, path in files.items() if not path.resolve().is_relative_to(hidden)}
    if is_folder_of_frames(data_path):
        raise ValueError(f"{data_path} holds the frames of one recording; name the folder above it, {data_path.parent}")
    holding = {_folder(name) for name in files}
    folders = {name: path for path in walk(data_path) if (name := path.relative_to(data_path).as_posix()) in holding}
    recordings: set[str] = set()
    if label_path is None:  # then names alone tell what a recording is: a file, or a folder of frames
        of_frames = {name for name, path in folders.items() if is_folder_of_frames(path)}
        recordings = of_frames | {name for name in files if _folder(name) not in of_frames}
    labels = _labels(label_path, pattern, sorted(recordings), report)
    if labels is None:
        paths = {name: (files | folders)[name] for name in sorted(recordings)}
        labels = labels_in(data_path, _told(data_path, paths, report, **reading), report)
    listed_in = label_path.name if label_path else "--names"
    labels, paired = _paired(labels, files | folders, str(data_path), listed_in, report)
    used = {listed.source for listed in paired.values()}
    unlisted = [name for name, path in files.items() if not used & {path, *path.parents}]
    if unlisted and label_path:
        are = plural(len(unlisted), "file is", "files are")
        report.notes.append(f"{are} not listed in {listed_in} ({unlisted[0]} ...)")
    return labels, paired


def _told(
    data_path: Path, paths: Mapping[str, Path], report: Report, *, num_worker: int, **reading: Any
) -> dict[str, Told]:
    """What the recordings of a folder tell of themselves.

    Raises:
        ValueError: the first one has no label, or none can be read.
    """
    nothing = f"{data_path}: no recording can be used"
    told: dict[str, Told] = {}
    each = read_each(
        partial(read_told, **reading), paths, report, nothing=nothing, task="labels", num_worker=num_worker
    )
    with closing(each):
        for name, of_file in each:
            if of_file.label is None and not told:
                raise ValueError(f"{data_path}: give --label_path, the list of labels of these recordings, or --names")
            told[name] = of_file
    return told


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _paired(
    labels: Labels, sources: Mapping[str, Path | Recording], place: str, listed_in: str, report: Report
) -> tuple[Labels, dict[str, Listed]]:
    """The labels of what is there, by the names that it has there, in order, and what is there."""
    pairs = match((line.file for line in labels.lines.values()), sources)
    for name, problem in pairs.problems.items():
        report.skip(f"{name}: it is listed in {listed_in} but not in {place}{f' ({problem})' if problem else ''}")
    report.notes += pairs.note(listed_in)
    lines = {}
    for line in labels.lines.values():
        if source := pairs.paired.get(line.file):
            span = ":{}-{}".format(*line.span) if line.span else ""
            name = nfc(source) + span
            lines[source + span if name in lines else name] = line._replace(file=source)  # two Unicode forms of a name
    lines = dict(sorted(lines.items()))
    listed = {name: Listed(sources[line.file], line.span) for name, line in lines.items()}
    return labels._replace(lines=lines), listed


def _split(labels: Labels, val: str | None, pattern: NamePattern | None, source: str, report: Report) -> Labels:
    """The labels with a part for each recording: as `--val` says, or as they are."""
    lines = labels.lines
    if val is not None:
        chosen = validation(val, {line.file for line in lines.values()}, pattern, report)
        parts = {name: "val" if line.file in chosen else "train" for name, line in lines.items()}
    else:
        parts = {name: line.part or "train" for name, line in lines.items()}
        if all(line.part is None for line in lines.values()):
            report.notes.append(f"{source} tells no splits, and --val is not given: all recordings are train")
    return labels._replace(lines={name: line._replace(part=parts[name]) for name, line in lines.items()})


def _recordings_of(path: Path, report: Report, **reading: Any) -> dict[str, Recording]:
    """The recordings that a file holds, by their names."""
    recordings: dict[str, Recording] = {}
    problems: list[str] = []
    try:
        for recording in read(path, problems=problems, **reading):
            if recording.name in recordings:
                report.skip(f"{recording.name}: a second recording of this name; the first is taken")
            recordings.setdefault(recording.name, recording)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    for problem in problems:
        report.skip(problem)
    return recordings


def _channel_words(fact: Facts) -> str:
    names = fact.channels.names
    return f"{plural(len(names), 'channel')} ({', '.join(names)})"


def _common_channels(facts: Mapping[str, Facts]) -> Channels:
    """The channels of all recordings: units and pictures that differ are not told."""
    names = next(iter(facts.values())).channels.names
    units = {fact.channels.unit for fact in facts.values()} - {"unknown"}
    pictures = {fact.channels.picture for fact in facts.values()}
    unit = units.pop() if len(units) == 1 else "unknown"
    return Channels(names, unit, pictures.pop() if len(pictures) == 1 and unit != "unknown" else None)


def _notes(facts: Mapping[str, Facts], labels: Labels, channels: Channels) -> list[str]:
    """What a user should know of the recordings."""
    formats = Counter(fact.format for fact in facts.values())
    read_as = ", ".join(f"{count:,} as {name}" for name, count in sorted(formats.items()))
    notes = [f"read {read_as}; channels {', '.join(channels.names)} ({channels.unit}), as prepared.yaml says"]
    if lost := [fact.num_missing for fact in facts.values() if fact.num_missing]:
        joints, one = plural(sum(lost), "joint"), sum(lost) == 1
        rest = "is missing; it is zero" if one else "are missing; they are zero"
        notes.append(f"{joints} in {plural(len(lost), 'recording')} {rest}")
    for is_tracked, rest in (True, "now each has one place"), (False, "--persons track gives each one place"):
        if changing := sum(fact.changes and fact.is_tracked == is_tracked for fact in facts.values()):
            notes.append(f"in {plural(changing, 'recording')} persons change places between frames; {rest}")
    notes += [
        f"{note} ({plural(count, 'recording')})"
        for note, count in Counter(note for fact in facts.values() for note in fact.notes).items()
    ]
    notes += outside_notes((fact.outside for fact in facts.values()), "recording")
    for part in PARTS:
        used = {labels.lines[name].label for name in facts if labels.lines[name].part == part}
        if absent := [name for label, name in enumerate(labels.classes) if label not in used]:
            classes = plural(len(labels.classes), "class", "classes")
            notes.append(f"{part} has no sequence of {len(absent)} of {classes}: {few_of(absent, 5)}")
    return notes


main = main_of(gendata, __doc__)

if __name__ == "__main__":
    run(main)
