"""NTU `.skeleton` files to the arrays of all benchmarks of a release, in bounded memory.

Every file is read once. `{out_folder}/{benchmark}/{part}_{suffix}.npy` holds (N, C, T, V, M) float32,
C = x, y, z in metres, T = 300 frames, V = 25 joints, M = 2 bodies; `{part}_label.pkl` holds
`(sample_names, labels)`. Samples are in the order of their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from data_gen.common.command_line import Parser, Report, default_workers
from data_gen.common.convert import Row, Sample, convert_files, made_by, to_row
from data_gen.formats.ntu_skeleton import FRAME_RATE, NUM_JOINT, read_skeleton
from data_gen.formats.recording import Recording
from data_gen.ntu.files import usable_files
from data_gen.ntu.splits import LISTS, NTU60, Dataset
from data_gen.ntu.steps import Kept, follow, plain, preprocessed, swaps
from feeders.arrays import JOINT, PARTS
from graph.channels import Channels

NUM_FRAME, NUM_BODY = 300, 2
NUM_READ, NUM_FOLLOWED = 4, 16  # places in a frame's list: those of the published code; and where identities count
ROW_SHAPE = (3, NUM_FRAME, NUM_JOINT, NUM_BODY)

CHANNELS = Channels(("x", "y", "z"), "metres")

Persons = Literal["file", "track"]
Steps = Callable[[np.ndarray], Kept]  # bodies (M, T, V, C) -> what is kept: at most 2 bodies, at most 300 frames


def convert_file(path: Path, *, steps: Steps, persons: Persons = "file") -> Row:
    """Read a file and apply `steps` to its bodies (`persons` as in `convert`).

    Raises:
        ValueError: the file is broken or holds no body; the message is the rest of a sentence that names it.
        OSError: the file cannot be read.
    """
    content = read_skeleton(path, max_body=_num_read(persons), max_frame=NUM_FRAME)
    return row_of_bodies(*content, steps=steps, persons=persons)


def row_of(recording: Recording, *, steps: Steps, persons: Persons = "file") -> Row:
    """A recording of NTU's joints in metres as `convert_file` makes it of a file; arguments and errors as there.

    Bodies without a number come after the numbered persons; those at one place are one person.
    """
    kept, num_body = slice(NUM_FRAME), _num_read(persons)
    bodies = recording.joints[kept, :num_body].swapaxes(0, 1).astype(np.float64)
    is_present = np.asarray(recording.present[kept, :num_body].any(axis=2)).T  # (M, T)
    numbers = np.full(is_present.shape, -1)
    if recording.identity is not None:
        numbers = recording.identity[kept, :num_body].T
    order = [number for number in dict.fromkeys(numbers.T.ravel().tolist()) if number >= 0]
    identity = np.where(is_present, len(order) + np.arange(len(is_present))[:, None], -1)
    for rank, number in enumerate(order):
        identity[numbers == number] = rank
    return row_of_bodies(bodies, identity, len(recording.joints), steps=steps, persons=persons)


def _num_read(persons: Persons) -> int:
    return NUM_FOLLOWED if persons == "track" else NUM_READ


def row_of_bodies(bodies: np.ndarray, identity: np.ndarray, num_frame: int, *, steps: Steps, persons: Persons) -> Row:
    """The row of bodies (M, T, V, C) with identities (M, T), of `num_frame` recorded frames; else as `convert_file`.

    Raises:
        ValueError: there is no body; the message is the rest of a sentence that names the recording.
    """
    is_swapped = swaps(identity[:NUM_READ])
    if persons == "track":
        bodies = follow(bodies, identity)
    # the same files are left out whatever the steps are, so that plain and preprocessed arrays share their labels
    if not (bodies[:NUM_BODY] != bodies[:NUM_BODY, :, :1]).any():
        raise ValueError("no body in any frame")
    kept = steps(bodies)
    row = to_row(kept.bodies.swapaxes(0, 1), kept.bodies.shape[1], NUM_BODY, kept.present.swapaxes(0, 1))
    return row._replace(num_frame=num_frame, frames=kept.frames, length=kept.length, is_swapped=is_swapped)


def convert(
    data_path: str | Path | Mapping[str, str | Path],
    out_folder: str | Path,
    *,
    steps: Steps,
    name: str,
    script: str,
    dataset: Dataset = NTU60,
    ignored_sample_path: str | Path | None = None,
    persons: Persons = "file",
    strict: bool = False,
    num_worker: int = 1,
    options: Mapping[str, Any] | None = None,
) -> Report:
    """Convert every `.skeleton` file of a release; finished files are replaced only by complete ones.

    Args:
        data_path: the folder of the raw files, or the folders by the options of `dataset.raw`; sub-folders and links
            to folders are searched too.
        out_folder: gets one folder a benchmark.
        steps: what is done to the bodies of a file; a module's function, because worker processes import it.
        name: arrays are called `{part}_{name}`.
        dataset: the release; files of other actions are skipped.
        ignored_sample_path: text file of samples to leave out (`LISTS`).
        persons: who is a person: `file`, one position in the frames' lists, as in the published arrays; `track`, one
            number of the recorder.
        strict: stop at the first file that cannot be used, instead of skipping it.
        num_worker: number of processes that read files.
        script: the script that `prepared.yaml` names.
        options: the script's options that decide the numbers; None: those that are given here.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: nothing to convert, a sample that lies in two places, no room on the disk, or (`strict`) a file that
            cannot be used.
        OSError: the disk became full while writing.
    """
    report = Report(strict=strict)
    named = data_path if isinstance(data_path, Mapping) else dict.fromkeys(dataset.raw, data_path)
    folders = {option: Path(path) for option, path in named.items()}
    files = usable_files(folders, dataset, ignored_sample_path, report)
    decisive = {
        **folders,
        "ignored_sample_path": ignored_sample_path,
        "persons": persons,
        "dataset": dataset.name,
    }
    samples = {
        sample.file: Sample(
            sample.file,
            dataset.label(sample),
            tuple(f"{benchmark}/{split.part(sample)}_{name}" for benchmark, split in dataset.benchmarks.items()),
        )
        for sample in files
    }
    convert_files(
        partial(convert_file, steps=steps, persons=persons),
        {sample.file: path for sample, path in files.items()},
        samples,
        report,
        folder=Path(out_folder),
        arrays=[f"{benchmark}/{part}_{name}" for benchmark in dataset.benchmarks for part in PARTS],
        row_shape=ROW_SHAPE,
        nothing=f"{' and '.join(map(str, dict.fromkeys(folders.values())))}: no file can be used",
        task=name.removesuffix(".npy"),
        num_worker=num_worker,
        channels=CHANNELS,
        frame_rate=FRAME_RATE,
        made=made_by(script, **(decisive if options is None else options)),
    )
    return report


gendata = partial(convert, steps=plain, name="data.npy", script="ntu_gendata.py")
preprocess = partial(convert, steps=preprocessed, name=JOINT, script="preprocess.py")


def command(
    function: Callable[..., Report], description: str | None, dataset: Dataset, argv: Sequence[str] | None = None
) -> Report:
    """Parse the command line of a script for `dataset`, and convert by `function`: `gendata` or `preprocess`."""
    parser = Parser(description=description)
    for option, raw in dataset.raw.items():
        parser.option(option, type=Path, help=f"folder of the files {raw} (default: {raw.path})")
    if len(dataset.raw) > 1:
        parser.option("data_path", type=Path, help="one folder with all files, instead of two")
    listed = f"text file with the names of samples to leave out, such as the authors' lists: {LISTS}"
    parser.option("ignored_sample_path", type=Path, help=listed)
    who = "file: persons by their place in a frame's list, as in the published arrays; track: by the recorder's numbers"
    parser.option("persons", choices=get_args(Persons), default="file", help=f"{who} (default: file)")
    parser.option(
        "out_folder",
        type=Path,
        default=Path(dataset.out_folder),
        help="folder for the arrays, with a subfolder for each benchmark (default: %(default)s)",
    )
    parser.option(
        "num_worker",
        type=int,
        default=default_workers(),
        help="number of processes that read files (default: the number of cores)",
    )
    parser.strict()
    arguments = vars(parser.parse_args(argv))
    folders = {option: path for option in dataset.raw if (path := arguments.pop(option))}
    if len(dataset.raw) > 1 and (folder := arguments.pop("data_path")):
        folders = dict.fromkeys(dataset.raw, folder) | folders
    return function(folders, dataset=dataset, **arguments)
