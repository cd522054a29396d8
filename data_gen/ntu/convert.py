"""NTU `.skeleton` files to the arrays of all benchmarks of a release, in bounded memory.

Every file is parsed once. `{out_folder}/{benchmark}/{part}_{suffix}.npy` holds (N, C, T, V, M) float32,
C = x, y, z in metres, T = 300 frames, V = 25 joints, M = 2 bodies; `{part}_label.pkl` holds
`(sample_names, labels)`. Samples are in the order of their names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from data_gen.common.command_line import Parser, Report, default_workers
from data_gen.common.derived import outdated
from data_gen.common.parallel import ordered_map
from data_gen.common.storage import PARTS, ArrayWriter, Staging, require_space
from data_gen.formats.ntu_skeleton import NUM_JOINT, BrokenFileError, read_skeleton
from data_gen.ntu.splits import NTU60, Dataset, SampleName, parse_name
from graph.common.words import plural

NUM_FRAME, NUM_BODY = 300, 2
LISTS = (
    "NTU_RGBD_samples_with_missing_skeletons.txt and, for both parts, NTU_RGBD120_samples_with_missing_skeletons.txt "
    "are at https://github.com/shahroudy/NTURGB-D/tree/master/Matlab"
)
ROW_SHAPE = (3, NUM_FRAME, NUM_JOINT, NUM_BODY)

Steps = Callable[[np.ndarray], np.ndarray]  # bodies (M, T, V, C) -> those to keep (at most 2, at most 300, V, C)


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
    empty = Converted(None, f"{path.name}: no body in any frame")
    # whatever the steps, the same files are left out: plain and preprocessed arrays share their labels
    if not (bodies[:NUM_BODY] != bodies[:NUM_BODY, :, :1]).any():
        return empty
    kept = steps(bodies)
    sample = np.zeros(ROW_SHAPE, np.float32)
    sample[:, : kept.shape[1], :, : kept.shape[0]] = kept.transpose(3, 1, 2, 0)
    return Converted(sample, "", num_frame) if sample.any() else empty


def convert(
    data_path: str | Path | Sequence[str | Path],
    out_folder: str | Path,
    *,
    steps: Steps,
    suffix: str,
    dataset: Dataset = NTU60,
    ignored_sample_path: str | Path | None = None,
    strict: bool = False,
    num_worker: int = 1,
) -> Report:
    """Convert every `.skeleton` file of a release; finished files are replaced only by complete ones.

    Args:
        data_path: the folder of the raw files, or the folders, one for each of `dataset.raw`.
        out_folder: gets one folder a benchmark.
        steps: what is done to the bodies of a file; a module's function, for it travels to the workers.
        suffix: arrays are called `{part}_{suffix}.npy`.
        dataset: the release; files of other actions are skipped.
        ignored_sample_path: text file of sample names to leave out, one a line (`LISTS`).
        strict: stop at the first file that cannot be used, instead of skipping it.
        num_worker: processes that parse.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: nothing to convert, a file that is in two folders, no space, or (`strict`) a file that cannot
            be used.
        OSError: the disk became full all the same.
    """
    report, out_folder = Report(), Path(out_folder)
    folders = [Path(path) for path in ([data_path] if isinstance(data_path, str | Path) else data_path)]
    files = _usable_files(_raw_files(folders, dataset), dataset, ignored_sample_path, report, strict=strict)
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
            named = " and ".join(map(str, folders))
            raise ValueError(f"{named}: no file can be used; the first problem is {report.skipped[0]}")
    report.written |= {target: part.writer.shape for target, part in parts.items()}
    if num_long:
        report.notes.append(
            f"{plural(num_long, 'file has', 'files have')} more than {NUM_FRAME} frames; the first {NUM_FRAME} are kept"
        )
    report.notes += [note for target in parts for note in outdated(target)]
    return report


def _raw_files(folders: list[Path], dataset: Dataset) -> list[Path]:
    """Every `.skeleton` file of the folders, in the order of their names."""
    if len(folders) != len(dataset.raw):
        parts = ", ".join(f"{option} ({raw.setups})" for option, raw in dataset.raw.items())
        raise ValueError(
            f"{dataset.name} lies in {plural(len(dataset.raw), 'folder')}: {parts}; "
            f"{plural(len(folders), 'is', 'are')} named"
        )
    found: dict[str, Path] = {}
    for folder, (option, raw) in zip(folders, dataset.raw.items(), strict=True):
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder} is no folder: unpack the .skeleton files of {dataset.name} ({raw.setups}) there, "
                f"or name their folder with --{option}"
            )
        own = {path.name: path for path in folder.iterdir() if path.suffix == ".skeleton"}
        if not own:
            raise ValueError(f"{folder}: no .skeleton file in this folder; name theirs with --{option}")
        if twice := found.keys() & own.keys():
            are = "is" if len(twice) == 1 else "are"
            raise ValueError(
                f"{folder}: {len(twice)} of its files ({min(twice)} ...) {are} in another folder too; "
                f"--{option} takes the folder of {raw.setups} alone"
            )
        found |= own
    return [found[name] for name in sorted(found)]


def _usable_files(
    found: list[Path], dataset: Dataset, ignored_sample_path: str | Path | None, report: Report, *, strict: bool
) -> dict[Path, SampleName]:
    """Those of the files that are to be converted, and what their names say."""
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
            f"{found[0].parent}: of {plural(len(found), '.skeleton file')} {plural(num_ignored, 'is', 'are')} on the "
            f"list to leave out, and no other has a name of {dataset.name} (S001C001P001R001A001.skeleton)"
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
        raise FileNotFoundError(f"{path}: no such list of samples to leave out (--ignored_sample_path); {LISTS}")
    names = set()
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
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


def convert_arguments(argv: Sequence[str] | None, description: str | None, dataset: Dataset) -> dict[str, Any]:
    """The command line of the scripts that convert, as arguments of `convert`."""
    parser = Parser(description=description)
    for option, raw in dataset.raw.items():
        parser.option(option, default=raw.path, help=f"folder of the files {raw.setups} (default: %(default)s)")
    listed = f"text file of sample names to leave out, one a line, such as the authors' lists: {LISTS}"
    parser.option("ignored_sample_path", help=listed)
    parser.option("out_folder", default=dataset.out_folder, help="gets a folder a benchmark (default: %(default)s)")
    parser.option("num_worker", type=int, default=default_workers(), help="processes that parse")
    parser.strict()
    arguments = vars(parser.parse_args(argv))
    return {"data_path": [arguments.pop(option) for option in dataset.raw], "dataset": dataset, **arguments}
