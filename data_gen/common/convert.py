"""The conversion engine: files are read by worker processes, and become rows of arrays with labels.

A script says which files there are, how one is read, and which arrays its sample goes to. Everything else is done here:
`read_each` reads, skips and reports; `to_row` cuts and pads; `write_arrays` writes arrays and label files atomically.
`convert_files` joins these for data sets of any size, `write_sequences` writes those that memory holds.

Axis legend: T frames, M persons, V joints, C channels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm

from data_gen.common.command_line import Report
from data_gen.common.derived import outdated
from data_gen.common.parallel import ordered_map
from data_gen.common.storage import ArrayWriter, Staging, require_space, staged
from feeders.arrays import LABEL, LENGTH, MISSING, PREPARED, beside, pack_missing
from graph.channels import Channels
from graph.common.files import VERSION
from graph.common.words import plural
from graph.common.yaml_text import dump

Source = TypeVar("Source")
Result = TypeVar("Result")


class Sample(NamedTuple):
    """What is known of a sample besides its numbers."""

    name: str  # its name in the label file
    label: int  # its class, from 0
    arrays: tuple[str, ...]  # paths of the arrays that it goes to, relative to the output folder


class Row(NamedTuple):
    """A sample's numbers, and what is known of them that zeros cannot tell."""

    x: np.ndarray  # (C, T', V, M) float32
    num_frame: int  # how many frames and persons it had before it was cut
    num_person: int
    missing: np.ndarray | None = None  # (T', V, M) bool: joints that are missing of a person who is present; None: none
    frames: np.ndarray | None = None  # (T,) which of the T' frames are those of the array; None: all, in their order
    length: int | None = None  # recorded frames of the T, without repetitions; None: `num_frame`, at most T
    is_swapped: bool = False  # persons change places between frames

    def in_order(self, values: np.ndarray) -> np.ndarray:
        """(..., T', V, M) -> (..., T, V, M): `values` in the order of the array's frames."""
        return values if self.frames is None else values.take(self.frames, axis=-3)


def read_each(
    read: Callable[[Source], Result],
    sources: Mapping[str, Source],
    report: Report,
    *,
    nothing: str,
    task: str = "read",
    unit: str = "file",
    num_worker: int = 1,
) -> Generator[tuple[str, Result], None, None]:
    """The names and results of those sources that can be read, in order; close it when leaving early.

    Args:
        read: reads one source. Its OSErrors and ValueErrors end up in `report`, after the source's name. It must be a
            module's function (or a partial of one), because worker processes import it.
        sources: what `read` takes, by the name that messages call it.
        report: lists the sources that cannot be read.
        nothing: the error message if no source can be read.
        task: what the progress bar says.
        unit: what the progress bar counts.
        num_worker: number of processes that read.

    Raises:
        ValueError: no source can be read, or (`report.strict`) one cannot be read.
    """
    is_any = False
    results = ordered_map(partial(_attempt, read), list(sources.values()), num_worker=num_worker)
    with closing(results), tqdm(sources, desc=task, unit=unit, disable=None) as bar:
        for name, result in zip(bar, results, strict=True):
            if isinstance(result, _Problem):
                report.skip(f"{name}: {result.text}")
            else:
                is_any = True
                yield name, result
    if not is_any:
        raise report.failure(nothing)


class _Problem(NamedTuple):
    text: str


def _attempt(read: Callable[[Source], Result], source: Source) -> Result | _Problem:
    """What `read` makes of `source`; a problem is returned, because an exception of a worker would end the run."""
    try:
        return read(source)
    except OSError as error:
        return _Problem(f"cannot be read ({error.strerror})")
    except ValueError as error:
        return _Problem(str(error))


def to_row(joints: np.ndarray, num_frame: int, num_person: int, present: np.ndarray | None = None) -> Row:
    """The first frames and persons of joints (T, M, V, C); the rest up to `num_frame` and `num_person` is zero.

    Args:
        joints: the coordinates.
        num_frame: T of the row.
        num_person: M of the row.
        present: (T, M, V) bool, which joints are there; the others become zero in all channels. None: each joint of a
            person who is not all zero in a frame.

    Raises:
        ValueError: all numbers are zero.
    """
    kept = joints[:num_frame, :num_person]
    T, M, V, C = kept.shape
    x, missing = np.zeros((C, num_frame, V, num_person), np.float32), None
    if present is not None and not present.all():
        kept_present = present[:T, :M]
        kept = np.where(kept_present[..., None], kept, 0)  # NaN too becomes zero
        if (lost := kept_present.any(axis=2, keepdims=True) & ~kept_present).any():
            missing = np.zeros(x.shape[1:], bool)
            missing[:T, :, :M] = lost.swapaxes(1, 2)
    x[:, :T, :, :M] = kept.transpose(3, 0, 2, 1)
    if not x.any():
        raise ValueError(f"no body in any {f'of the first {T} frames' if len(joints) > T else 'frame'}")
    return Row(x, len(joints), joints.shape[1], missing)


def write_arrays(
    folder: Path,
    arrays: Sequence[str],
    samples: Iterable[Sample],
    rows: Iterable[tuple[Sample, Row]],
    report: Report,
    *,
    row_shape: tuple[int, ...],
    unit: str = "file",
    texts: Mapping[str, str] | None = None,
    channels: Channels | None = None,
    frame_rate: float | None = None,
    made: Mapping[str, Any] | None = None,
) -> None:
    """Write arrays and what belongs to them (`feeders.arrays`); finished files are replaced only by complete ones.

    Args:
        folder: gets the arrays.
        arrays: their paths relative to `folder`, also of those that stay empty.
        samples: all samples that `rows` may give.
        rows: samples and their numbers; each array keeps their order.
        report: gets the files written, how many samples were cut, and which derived arrays are outdated.
        row_shape: (C, T, V, M).
        unit: what a sample was, for the report.
        texts: further files, by their paths relative to `folder`.
        channels: what the C channels are, for `prepared.yaml`; None leaves no such file.
        frame_rate: frames a second, where known.
        made: how the arrays are made (`made_by`).

    Raises:
        ValueError: the disk has no room.
        OSError: the disk became full while writing.
    """
    capacity = Counter(array for sample in samples for array in sample.arrays)
    row_bytes = 4 * math.prod(row_shape) + math.ceil(math.prod(row_shape[1:]) / 8)
    require_space(folder, row_bytes * capacity.total())
    sizes, num_swapped = [], 0
    with staged() as staging:
        parts = {array: _Part(staging, folder / array, capacity[array], row_shape) for array in arrays}
        for path in {beside(folder / array, PREPARED) for array in arrays}:
            if channels is None:
                staging.remove(path)
            else:
                about = {"channels": channels.as_mapping(), "frame_rate": frame_rate, "made": made}
                staging.text(path, dump({key: value for key, value in about.items() if value is not None}))
        for name, text in (texts or {}).items():
            staging.text(folder / name, text)
        for sample, row in rows:
            sizes.append((row.num_frame, row.num_person))
            num_swapped += row.is_swapped
            x = row.in_order(row.x)
            for array in sample.arrays:
                parts[array].append(sample, row, x)
        for part in parts.values():
            part.finish()
    report.written |= {part.path: part.x.shape for part in parts.values()}
    report.notes += _cuts(sizes, row_shape, unit)
    if num_swapped:
        report.notes.append(f"in {plural(num_swapped, unit)} persons change places between frames; see --persons")
    report.notes += [note for array in arrays for note in outdated(folder / array)]


class _Part:
    """An array that is being written, with its labels, lengths and missing joints."""

    def __init__(self, staging: Staging, path: Path, capacity: int, row_shape: tuple[int, ...]) -> None:
        self.path, self._staging, self._capacity, self._row_shape = path, staging, capacity, row_shape
        self.x = staging.array(path, capacity, row_shape)
        self._missing: ArrayWriter | None = None  # only where something is missing
        self._names, self._labels, self._lengths = list[str](), list[int](), list[int]()
        staging.labels(beside(path, LABEL), self._names, self._labels)

    def append(self, sample: Sample, row: Row, x: np.ndarray) -> None:
        if row.missing is not None and self._missing is None:
            width = math.ceil(math.prod(self._row_shape[1:]) / 8)
            self._missing = self._staging.array(beside(self.path, MISSING), self._capacity, (width,), np.uint8)
            self._missing.extend(np.zeros((len(self._names), width), np.uint8))
        if self._missing is not None:
            mask = np.zeros(self._row_shape[1:], bool) if row.missing is None else row.in_order(row.missing)
            self._missing.extend(pack_missing(mask[None]))
        self.x.extend(x[None])
        self._names.append(sample.name)
        self._labels.append(sample.label)
        self._lengths.append(min(row.num_frame, x.shape[1]) if row.length is None else row.length)

    def finish(self) -> None:
        self._staging.npy(beside(self.path, LENGTH), np.array(self._lengths, np.int32))
        if self._missing is None:
            self._staging.remove(beside(self.path, MISSING))


def made_by(script: str, **options: Any) -> dict[str, Any]:
    """How arrays are made, for `prepared.yaml`: the script, its version, and the options that decide the numbers."""
    given = {name: value for name, value in options.items() if value is not None}
    return {"script": script, "options": given, "version": VERSION}


def _cuts(sizes: Sequence[tuple[int, int]], row_shape: tuple[int, ...], unit: str) -> list[str]:
    """Notes about samples with more frames or persons than the arrays; `sizes` are (frames, persons)."""
    notes = []
    for axis, what, limit in ((0, "frame", row_shape[1]), (1, "person", row_shape[3])):
        if count := sum(size[axis] > limit for size in sizes):
            kept = f"the first {limit} are kept" if limit > 1 else "the first is kept"
            have = plural(count, f"{unit} has", f"{unit}s have")
            notes.append(f"{have} more than {plural(limit, what)}; {kept}")
    return notes


def convert_files(
    read: Callable[[Source], Row],
    sources: Mapping[str, Source],
    samples: Mapping[str, Sample],
    report: Report,
    *,
    folder: Path,
    arrays: Sequence[str],
    row_shape: tuple[int, ...],
    nothing: str,
    task: str,
    unit: str = "file",
    num_worker: int = 1,
    **about: Any,
) -> None:
    """Read sources one by one and write their rows; `samples` are those of the sources, by the same names.

    The other arguments (`about` among them), and errors, are those of `read_each` and `write_arrays`.
    """
    results = read_each(read, sources, report, nothing=nothing, task=task, unit=unit, num_worker=num_worker)
    with closing(results):
        rows = ((samples[name], row) for name, row in results)
        write_arrays(folder, arrays, samples.values(), rows, report, row_shape=row_shape, unit=unit, **about)


def write_sequences(
    folder: Path,
    arrays: Sequence[str],
    sequences: Sequence[tuple[Any, ...]],
    report: Report,
    **about: Any,
) -> None:
    """Write sequences that memory holds; the arrays' T and M are the largest ones.

    Each is a `Sample`, its joints (T, M, V, C) and, where joints may be missing, which are present, as `to_row` takes
    them. `about` are further arguments of `write_arrays`.
    """
    T, M = (max(joints.shape[axis] for _, joints, *_ in sequences) for axis in (0, 1))
    V, C = sequences[0][1].shape[2:]
    samples = [sample for sample, *_ in sequences]
    rows = ((sample, to_row(joints, T, M, *present)) for sample, joints, *present in sequences)
    write_arrays(folder, arrays, samples, rows, report, row_shape=(C, T, V, M), **about)


def drop_unusual(results: dict[str, Result], kind: Callable[[Result], str], report: Report, *, unit: str) -> None:
    """Remove the results whose `kind`, in words, differs from that of most results."""
    kinds = {name: kind(result) for name, result in results.items()}
    ((usual, _),) = Counter(kinds.values()).most_common(1)
    for name in [name for name in kinds if kinds[name] != usual]:
        report.skip(f"{name}: {kinds[name]}, where most {unit}s have {usual}")
        del results[name]
