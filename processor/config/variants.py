"""Configurations that are named but have no file: `config/ntu60_xsub/t-tr-agcn-bones.yaml`.

In a folder with a `_base.yaml`, the name of a missing file is read as parts that hyphens join, here `t-tr`, `agcn` and
`bones`. Each part is a file of one shared folder: `config/_st_tr`, `config/_zit_zot`, or another one whose name begins
with `_`, beside the data set's folder. The missing file then reads as if it held

    _base_: [_base.yaml, ../_st_tr/t-tr.yaml, ../_st_tr/agcn.yaml, ../_st_tr/bones.yaml]

What a data set needs otherwise, it says in files of its folder: `config/sbu/_st_tr.yaml` stands for the first of these
where the parts are of `_st_tr`, and `config/sbu/zit-zot.yaml` for the first two where a name begins with `zit-zot`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from graph.common.files import ROOT

BASE = "_base"
OTHERS = ("prepared", "plain_prepared", "skeleton")  # files of prepared arrays, beside which a _base.yaml may lie


def variant(path: Path) -> list[Path]:
    """The files that a missing one builds on, or none where its name is not made of parts."""
    files = _files(path.parent)
    for shared, parts in _shared(path.parent, files) if path.suffix == ".yaml" else ():
        if names := _split(path.stem, {**parts, **files}, parts):
            first = [files[names[0]]] if names[0] in files else [files.get(shared, files[BASE]), parts[names[0]]]
            return [*first, *(parts[name] for name in names[1:])]
    return []


def known(path: Path) -> Iterator[str]:
    """The names that may have been meant by the name of a missing file: files of its folder, and variants like it."""
    files, words = _files(path.parent), path.stem.split("-")
    yield from (f"{name}.yaml" for name in files)
    for _, parts in _shared(path.parent, files):
        firsts = {**parts, **files}
        begins = ["-".join(words[:count]) for count in range(len(words))]
        begins = [*firsts, *(begin for begin in begins if _split(begin, firsts, parts))]
        yield from (f"{name}.yaml" for name in parts)
        yield from (f"{begin}-{name}.yaml" for begin in begins for name in parts)


def choices(folder: Path) -> str:
    """What can be named in a folder, for a message."""
    files = _files(folder)
    names = [name for name in files if not name.startswith("_")]
    groups = [", ".join(names)] if names else []
    groups += [f"parts of {name} joined by hyphens: {', '.join(parts)}" for name, parts in _shared(folder, files)]
    return f"; name a file in it ({'; or '.join(groups)})" if groups else ""


def _files(folder: Path) -> dict[str, Path]:
    files = sorted(folder.glob("*.yaml"), key=lambda file: file.stem)
    return {file.stem: file for file in files if file.stem not in OTHERS}


def _shared(folder: Path, files: Collection[str]) -> list[tuple[str, dict[str, Path]]]:
    """Names and parts of the shared folders for a data set; those beside `folder` replace this project's files."""
    if BASE not in files:
        return []
    folders = {other.name: other for place in (ROOT / "config", folder / "..") for other in sorted(place.glob("_*/"))}
    return [(name, _files(Path(os.path.normpath(other)))) for name, other in folders.items()]


def _split(name: str, firsts: Collection[str], others: Collection[str]) -> list[str]:
    """`name` as one of `firsts` and any number of `others`, longer ones preferred; or nothing."""
    for part in sorted(firsts, key=len, reverse=True):
        if name == part:
            return [part]
        if name.startswith(f"{part}-") and (rest := _split(name[len(part) + 1 :], others, others)):
            return [part, *rest]
    return []
