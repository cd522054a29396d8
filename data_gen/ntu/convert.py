"""NTU `.skeleton` files to the arrays of all benchmarks of a release, in bounded memory.

Every file is read once. `{out_folder}/{benchmark}/{part}_{suffix}.npy` holds (N, C, T, V, M) float32,
C = x, y, z in metres, T = 300 frames, V = 25 joints, M = 2 bodies; `{part}_label.pkl` holds
`(sample_names, labels)`. Samples are in the order of their names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from data_gen.common.command_line import Parser, Report, default_workers
from data_gen.common.convert import Row, Sample, convert_files, to_row
from data_gen.formats.ntu_skeleton import FRAME_RATE, NUM_JOINT, read_skeleton
from data_gen.ntu.splits import LISTS, NTU60, Dataset, SampleName, parse_name
from data_gen.ntu.steps import Kept, follow, plain, preprocessed, swaps
from feeders.arrays import JOINT, PARTS
from graph.channels import Channels
from graph.common.words import plural

NUM_FRAME, NUM_BODY = 300, 2
NUM_READ, NUM_FOLLOWED = 4, 16  # places in a frame's list: those of the published code; and where identities count
ROW_SHAPE = (3, NUM_FRAME, NUM_JOINT, NUM_BODY)

CHANNELS = Channels(("x", "y", "z"), "metres")

Steps = Callable[[np.ndarray], Kept]  # bodies (M, T, V, C) -> what is kept: at most 2 bodies, at most 300 frames


def convert_file(path: Path, *, steps: Steps, follow_identity: bool = False) -> Row:
    """Read a file and apply `steps` to its bodies, which are places in the frames' lists, or identities.

    Raises:
        ValueError: the file is broken or holds no body; the message is the rest of a sentence that names it.
        OSError: the file cannot be read.
    """
    bodies, identity, num_frame = read_skeleton(
        path, max_body=NUM_FOLLOWED if follow_identity else NUM_READ, max_frame=NUM_FRAME
    )
    is_swapped = swaps(identity[:NUM_READ])
    if follow_identity:
        bodies = follow(bodies, identity)
    # the same files are left out whatever the steps are, so that plain and preprocessed arrays share their labels
    if not (bodies[:NUM_BODY] != bodies[:NUM_BODY, :, :1]).any():
        raise ValueError("no body in any frame")
    kept = steps(bodies)
    row = to_row(kept.bodies.swapaxes(0, 1), kept.bodies.shape[1], NUM_BODY, kept.present.swapaxes(0, 1))
    return row._replace(num_frame=num_frame, frames=kept.frames, length=kept.length, is_swapped=is_swapped)


def convert(
    data_path: str | Path | Sequence[str | Path],
    out_folder: str | Path,
    *,
    steps: Steps,
    name: str,
    dataset: Dataset = NTU60,
    ignored_sample_path: str | Path | None = None,
    strict: bool = False,
    num_worker: int = 1,
) -> Report:
    """Convert every `.skeleton` file of a release; finished files are replaced only by complete ones.

    Args:
        data_path: the folder of the raw files, or the folders, one for each of `dataset.raw`.
        out_folder: gets one folder a benchmark.
        steps: what is done to the bodies of a file; a module's function, because worker processes import it.
        name: arrays are called `{part}_{name}`.
        dataset: the release; files of other actions are skipped.
        ignored_sample_path: text file of sample names to leave out, one a line (`LISTS`).
        strict: stop at the first file that cannot be used, instead of skipping it.
        num_worker: number of processes that read files.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: nothing to convert, a file that is in two folders, no room on the disk, or (`strict`) a file that
            cannot be used.
        OSError: the disk became full while writing.
    """
    report = Report(strict=strict)
    folders = [Path(path) for path in ([data_path] if isinstance(data_path, str | Path) else data_path)]
    files = _usable_files(_raw_files(folders, dataset), dataset, ignored_sample_path, report)
    samples = {
        path.name: Sample(
            path.name,
            dataset.label(sample),
            tuple(f"{benchmark}/{split.part(sample)}_{name}" for benchmark, split in dataset.benchmarks.items()),
        )
        for path, sample in files.items()
    }
    convert_files(
        partial(convert_file, steps=steps),
        {path.name: path for path in files},
        samples,
        report,
        folder=Path(out_folder),
        arrays=[f"{benchmark}/{part}_{name}" for benchmark in dataset.benchmarks for part in PARTS],
        row_shape=ROW_SHAPE,
        nothing=f"{' and '.join(map(str, folders))}: no file can be used",
        task=name.removesuffix(".npy"),
        num_worker=num_worker,
    )
    return report


gendata = partial(convert, steps=plain, name="data.npy")
preprocess = partial(convert, steps=preprocessed, name=JOINT)


def _raw_files(folders: list[Path], dataset: Dataset) -> list[Path]:
    """Every `.skeleton` file of the folders, in the order of their names."""
    if len(folders) != len(dataset.raw):
        parts = ", ".join(f"{option} ({raw.setups})" for option, raw in dataset.raw.items())
        raise ValueError(
            f"{dataset.name} lies in {plural(len(dataset.raw), 'folder')}: {parts}; "
            f"{plural(len(folders), 'is', 'are')} named"
        )
    files: dict[str, Path] = {}
    for folder, (option, raw) in zip(folders, dataset.raw.items(), strict=True):
        added = {path.name: path for path in folder.glob("*.skeleton")}
        if not added:
            is_no = "has no .skeleton file" if folder.is_dir() else "is no folder"
            error = ValueError if folder.is_dir() else FileNotFoundError
            raise error(f"{folder} {is_no}: {dataset.where(option)}")
        if twice := files.keys() & added.keys():
            are = "is" if len(twice) == 1 else "are"
            raise ValueError(
                f"{folder}: {len(twice)} of its files ({min(twice)} ...) {are} in another folder too; "
                f"--{option} takes the folder of {raw.setups} alone"
            )
        files |= added
    return [files[name] for name in sorted(files)]


def _usable_files(
    paths: list[Path], dataset: Dataset, ignored_sample_path: str | Path | None, report: Report
) -> dict[Path, SampleName]:
    """The files that are to be converted, and the numbers in their names."""
    ignored = read_ignored(Path(ignored_sample_path)) if ignored_sample_path else frozenset()
    files, num_ignored = {}, 0
    for path in paths:
        try:
            sample = parse_name(path.name)
            dataset.label(sample)
        except ValueError as error:
            report.skip(f"{path.name}: {error}")
            continue
        if sample in ignored:
            num_ignored += 1
        else:
            files[path] = sample
    if not files:
        raise ValueError(
            f"{paths[0].parent}: of {plural(len(paths), '.skeleton file')} {plural(num_ignored, 'is', 'are')} on the "
            f"list to leave out, and no other has a name of {dataset.name} (S001C001P001R001A001.skeleton)"
        )
    if num_ignored:
        report.notes.append(f"left out {num_ignored} that {ignored_sample_path} lists")
    return files


def read_ignored(path: Path) -> frozenset[SampleName]:
    """The sample names in a text file, one a line, with or without `.skeleton`; other lines are headings.

    Raises:
        FileNotFoundError: the file is missing.
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


def command(
    function: Callable[..., Report], description: str | None, dataset: Dataset, argv: Sequence[str] | None = None
) -> Report:
    """Parse the command line of a script for `dataset`, and convert by `function`: `gendata` or `preprocess`."""
    parser = Parser(description=description)
    for option, raw in dataset.raw.items():
        parser.option(option, default=raw.path, help=f"folder of the files {raw.setups} (default: %(default)s)")
    listed = f"text file of sample names to leave out, one a line, such as the authors' lists: {LISTS}"
    parser.option("ignored_sample_path", help=listed)
    parser.option("out_folder", default=dataset.out_folder, help="gets a folder a benchmark (default: %(default)s)")
    parser.option("num_worker", type=int, default=default_workers(), help="number of processes that read files")
    parser.strict()
    arguments = vars(parser.parse_args(argv))
    return function([arguments.pop(option) for option in dataset.raw], dataset=dataset, **arguments)
