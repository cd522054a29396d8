"""A folder of NTU `.skeleton` files to the arrays of all benchmarks of a release, in bounded memory.

Every file is parsed once. `{out_folder}/{benchmark}/{part}_{suffix}.npy` holds (N, C, T, V, M) float32,
C = x, y, z in metres, T = 300 frames, V = 25 joints, M = 2 bodies; `{part}_label.pkl` holds
`(sample_names, labels)`. Samples are in the order of their names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data_gen.command_line import Parser, Report, default_workers
from data_gen.derived import outdated
from data_gen.ntu_skeleton import NUM_JOINT, BrokenFileError, read_skeleton
from data_gen.ntu_splits import NTU60, Dataset, SampleName, parse_name
from data_gen.parallel import ordered_map
from data_gen.storage import PARTS, ArrayWriter, Staging, require_space

NUM_FRAME, NUM_BODY = 300, 2
ROW_SHAPE = (3, NUM_FRAME, NUM_JOINT, NUM_BODY)

Steps = Callable[[np.ndarray], np.ndarray]  # bodies (M, T, V, C) -> sample (2, 300, V, C)


class Converted(NamedTuple):
    """What became of a file: its `sample` (C, T, V, M) float32, or the problem; and its number of frames."""

    sample: np.ndarray | None
    problem: str = ""
    num_frame: int = 0


@dataclass
class _Part:
    """One array under construction, with the names and labels of its rows."""

    writer: ArrayWriter
    names: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def append(self, name: str, label: int, sample: np.ndarray) -> None:
        self.writer.append(sample)
        self.names.append(name)
        self.labels.append(label)


def convert_file(path: Path, *, steps: Steps) -> Converted:
    """Parse a file and take its bodies through `steps`."""
    try:
        bodies, num_frame = read_skeleton(path, max_frame=NUM_FRAME)
    except BrokenFileError as error:
        return Converted(None, str(error))
    except OSError as error:
        return Converted(None, f"{path.name}: cannot be read ({error.strerror})")
    # whatever the steps, the same files are left out: plain and preprocessed arrays share their labels
    if not np.ptp(bodies[:NUM_BODY], axis=2).any():
        return Converted(None, f"{path.name}: no body in any frame")
    return Converted(steps(bodies).transpose(3, 1, 2, 0).astype(np.float32), "", num_frame)


def convert(
    data_path: str | Path,
    out_folder: str | Path,
    *,
    steps: Steps,
    suffix: str,
    dataset: Dataset = NTU60,
    ignored_sample_path: str | Path | None = None,
    strict: bool = False,
    num_worker: int = 1,
) -> Report:
    """Convert every `.skeleton` file of `data_path`; finished files are replaced only by complete ones.

    Args:
        data_path: folder of the raw files.
        out_folder: gets one folder a benchmark.
        steps: what is done to the bodies of a file; a module's function, for it travels to the workers.
        suffix: arrays are called `{part}_{suffix}.npy`.
        dataset: the release; files of other actions are skipped.
        ignored_sample_path: text file of sample names to leave out, one a line (the official lists).
        strict: stop at the first file that cannot be used, instead of skipping it.
        num_worker: processes that parse.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: nothing to convert, no space, or (`strict`) a file that cannot be used.
    """
    report, out_folder = Report(), Path(out_folder)
    files = _usable_files(Path(data_path), dataset, ignored_sample_path, report, strict=strict)
    out_folder.mkdir(parents=True, exist_ok=True)
    require_space(out_folder, len(dataset.benchmarks) * len(files) * 4 * math.prod(ROW_SHAPE))
    num_long = 0
    with Staging() as staging:
        parts = _open_parts(staging, out_folder, suffix, dataset, list(files.values()))
        results = ordered_map(partial(convert_file, steps=steps), list(files), num_worker=num_worker)
        with closing(results), tqdm(files.items(), desc=suffix, unit="file", disable=None) as bar:
            for (path, name), (sample, problem, num_frame) in zip(bar, results, strict=True):
                if sample is None:
                    report.skip(problem, strict=strict)
                    continue
                num_long += num_frame > NUM_FRAME
                for benchmark, split in dataset.benchmarks.items():
                    target = out_folder / benchmark / f"{split.part(name)}_{suffix}.npy"
                    parts[target].append(path.name, dataset.label(name), sample)
        if not any(part.names for part in parts.values()):
            raise ValueError(f"{data_path}: no file can be used; the first problem is {report.skipped[0]}")
    report.written |= {target: part.writer.shape for target, part in parts.items()}
    if num_long:
        report.notes.append(f"{num_long} files have more than {NUM_FRAME} frames; the first {NUM_FRAME} are kept")
    report.notes += [note for target in parts for note in outdated(target)]
    return report


def _usable_files(
    data_path: Path, dataset: Dataset, ignored_sample_path: str | Path | None, report: Report, *, strict: bool
) -> dict[Path, SampleName]:
    """The files to convert, in the order of their names, and what their names say."""
    if not data_path.is_dir():
        raise FileNotFoundError(
            f"{data_path} is no folder: unpack the .skeleton files of {dataset.name} there, "
            "or name their folder with --data_path"
        )
    found = sorted(path for path in data_path.iterdir() if path.suffix == ".skeleton")
    if not found:
        raise ValueError(f"{data_path}: no .skeleton file in this folder; name theirs with --data_path")
    ignored = read_ignored(Path(ignored_sample_path)) if ignored_sample_path else frozenset()
    files, num_ignored = {}, 0
    for path in found:
        try:
            name = parse_name(path.name)
            dataset.label(name)
        except ValueError as error:
            report.skip(f"{path.name}: {error}", strict=strict)
            continue
        if name in ignored:
            num_ignored += 1
        else:
            files[path] = name
    if not files:
        raise ValueError(
            f"{data_path}: of {len(found)} .skeleton files {num_ignored} are on the list to leave out, "
            f"and the others have no name of {dataset.name} (S001C001P001R001A001.skeleton)"
        )
    if num_ignored:
        report.notes.append(f"left out {num_ignored} that {ignored_sample_path} lists")
    return files


def read_ignored(path: Path) -> frozenset[SampleName]:
    """The sample names in a text file, one a line, with or without `.skeleton`; other lines are headings.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no line of it is a sample name.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of samples to leave out (--ignored_sample_path)")
    names = set()
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):
            names.add(parse_name(line.strip()))
    if not names:
        raise ValueError(f"{path}: no line of it is a sample name; --ignored_sample_path takes a list of them")
    return frozenset(names)


def _open_parts(
    staging: Staging, out_folder: Path, suffix: str, dataset: Dataset, names: list[SampleName]
) -> dict[Path, _Part]:
    """By the array's path: every part of every benchmark, with room for those of `names` in it."""
    parts = {}
    for benchmark, split in dataset.benchmarks.items():
        for part in PARTS:
            target = out_folder / benchmark / f"{part}_{suffix}.npy"
            capacity = sum(split.part(name) == part for name in names)
            parts[target] = opened = _Part(staging.array(target, capacity, ROW_SHAPE))
            staging.labels(target.with_name(f"{part}_label.pkl"), opened.names, opened.labels)
    return parts


def convert_parser(description: str | None) -> Parser:
    """The command line of the scripts that convert; its options are arguments of `convert`."""
    parser = Parser(description=description)
    folder = "data/nturgbd_raw/nturgb+d_skeletons"
    parser.option("data_path", default=folder, help="folder of the .skeleton files (default: %(default)s)")
    parser.option("ignored_sample_path", help="text file of sample names to leave out, one a line")
    parser.option("out_folder", default="data/ntu", help="gets a folder a benchmark (default: %(default)s)")
    parser.option("num_worker", type=int, default=default_workers(), help="processes that parse")
    parser.strict()
    return parser
