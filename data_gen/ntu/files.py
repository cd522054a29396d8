"""Where the files of NTU RGB+D lie, and which of them are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from data_gen.common.command_line import Report
from data_gen.common.names import walk
from data_gen.ntu.splits import LISTS, SUFFIX, Dataset, SampleName, find_names, parse_name
from graph.common.words import few_of, plural

_NUM_SHOWN = 3  # of lines that are not understood


def usable_files(
    folders: Mapping[str, Path], dataset: Dataset, ignored_sample_path: str | Path | None, report: Report
) -> dict[SampleName, Path]:
    """The files that are to be converted, in the order of their names.

    Args:
        folders: where the raw files and their sub-folders lie, by the options of `dataset.raw`; one may hold all, and
            an option that is absent is searched at its usual place.
        dataset: the release; files of other actions are skipped, those of other setups left out.
        ignored_sample_path: a list of samples to leave out, or None.
        report: gets files that cannot be used, and lines of the list that are not understood.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: a part of the release is missing, a sample lies in two places, or no file is left.
    """
    by_name = _found(folders, dataset, report)
    ignored = read_ignored(Path(ignored_sample_path), report) if ignored_sample_path else frozenset()
    files: dict[SampleName, Path] = {}
    num_other = num_ignored = 0
    for sample, path in sorted(by_name.items()):
        try:
            if sample.setup not in dataset.setups:
                num_other += 1
            elif dataset.label(sample) >= 0 and sample in ignored:
                num_ignored += 1
            else:
                files[sample] = path
        except ValueError as error:
            report.skip(f"{path.name}: {error}")
    if num_other:
        report.notes.append(f"left out {plural(num_other, 'file')} of setups that are not in {dataset.name}")
    if ignored_sample_path:
        report.notes.append(f"left out {num_ignored} that {ignored_sample_path} lists")
    if not files:
        raise report.failure(f"no file is left of {len(by_name)}: {num_ignored} are on the list to leave out")
    return files


def _found(folders: Mapping[str, Path], dataset: Dataset, report: Report) -> dict[SampleName, Path]:
    """Every file with a sample's name in the folders, once."""
    for option, folder in folders.items():
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is no folder: {dataset.where(option)}")
    by_name: dict[SampleName, Path] = {}
    for folder in dict.fromkeys(folders.values()):
        _add(folder, by_name, report)
    for option, raw in dataset.raw.items():
        folder = folders.get(option, Path(raw.path))
        is_covered = any(sample.setup in raw.setups for sample in by_name)
        if not is_covered and option not in folders:
            _add(folder, by_name, report)
            is_covered = any(sample.setup in raw.setups for sample in by_name)
        if not is_covered:
            raise _nothing(folder, dataset, option)
    return by_name


def _add(folder: Path, by_name: dict[SampleName, Path], report: Report) -> None:
    """Add the `.skeleton` files in a folder and its sub-folders to `by_name`."""
    for path in sorted(_entries(folder)):
        if path.suffix.lower() != SUFFIX:
            continue
        try:
            sample = parse_name(path.name)
        except ValueError as error:
            report.skip(f"{path.name}: {error}")
            continue
        first = by_name.setdefault(sample, path)
        if first != path and not path.samefile(first):
            raise ValueError(f"{path.name} lies in {first.parent} and in {path.parent}; keep one of them")


def _entries(folder: Path) -> Iterator[Path]:
    for inner in walk(folder):
        yield from inner.iterdir()


def _nothing(folder: Path, dataset: Dataset, option: str) -> Exception:
    """The error that says why a folder has no files of the part of `option`."""
    if not folder.is_dir():
        return FileNotFoundError(f"{folder} is no folder: {dataset.where(option)}")
    names = sorted(path.name for path in _entries(folder))
    if skeletons := [name for name in names if name.lower().endswith(SUFFIX)]:
        files = plural(len(skeletons), f"{SUFFIX} file")
        why = f"has {files} ({skeletons[0]} ...), but none of {dataset.raw[option]}"
    elif others := [name for name in names if find_names(name)]:
        why = (
            f"has no {SUFFIX} file, but {plural(len(others), 'name')} of samples with another suffix ({others[0]} ...)"
        )
    else:
        why = f"has no {SUFFIX} file"
    return ValueError(f"{folder} {why}: {dataset.where(option)}")


def read_ignored(path: Path, report: Report) -> frozenset[SampleName]:
    """The samples that a text file names: one or more a line, with or without folder, suffix, quotes, brackets, commas.

    Lines that name none are counted and shown in `report`.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: no line of it names a sample.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of samples to leave out (--ignored_sample_path); {LISTS}")
    names: set[SampleName] = set()
    strange = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        names.update(in_line := find_names(line))
        if line.strip() and not in_line:
            strange.append(f"{number}: {line.strip()[:60]!a}")
    if not names:
        raise ValueError(f"{path}: no line of it names a sample; --ignored_sample_path takes a list of them")
    if strange:
        lines = plural(len(strange), "line")
        report.notes.append(f"{path}: {lines} without a sample's name left out ({few_of(strange, _NUM_SHOWN)})")
    return frozenset(names)
