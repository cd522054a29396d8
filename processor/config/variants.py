"""Configurations that are named but have no file: `config/ntu60_xsub/t-tr-agcn-bones.yaml`.

Where a folder has a `_base.yaml`, the name of a missing file is read as parts that hyphens join, here `t-tr`,
`agcn` and `bones`. Each part is a file of one shared folder: `config/_st_tr`, `config/_zit_zot`, or another one
beside the data set's folder whose name begins with `_`. The missing file then reads as if it held

    _base_: [_base.yaml, ../_st_tr/t-tr.yaml, ../_st_tr/agcn.yaml, ../_st_tr/bones.yaml]

If the data set's folder has a file for the first part (`config/sbu/zit-zot.yaml`), it replaces the first two of these.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from graph.common.files import ROOT

BASE_FILE = "_base.yaml"


def variant(path: Path) -> list[Path]:
    """The files that a missing one builds on, or none where its name is not made of parts."""
    own = _files(path.parent)
    if path.suffix != ".yaml" or BASE_FILE[:-5] not in own:
        return []
    for parts in _shared(path.parent):
        if names := _split(path.stem, {**parts, **own}, parts):
            first = [own[names[0]]] if names[0] in own else [own[BASE_FILE[:-5]], parts[names[0]]]
            return [*first, *(parts[name] for name in names[1:])]
    return []


def known(path: Path) -> Iterator[str]:
    """The names of files that may have been meant by `path`: files of its folder, and variants like it."""
    own, words = _files(path.parent), path.stem.split("-")
    yield from (f"{name}.yaml" for name in own)
    for parts in _shared(path.parent) if BASE_FILE[:-5] in own else ():
        firsts = {**parts, **own}
        begins = ["-".join(words[:count]) for count in range(len(words))]
        begins = [*firsts, *(begin for begin in begins if _split(begin, firsts, parts))]
        yield from (f"{name}.yaml" for name in parts)
        yield from (f"{begin}-{name}.yaml" for begin in begins for name in parts)


def listing(folder: Path) -> str:
    """What can be named in a folder, for a message."""
    own = [name for name in _files(folder) if not name.startswith("_")]
    choices = [", ".join(own)] if own else []
    if (folder / BASE_FILE).is_file():
        choices += [f"parts joined by hyphens of {', '.join(parts)}" for parts in _shared(folder)]
    return f"; name a file in it: {'; or '.join(choices)}" if choices else ""


def _files(folder: Path) -> dict[str, Path]:
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def _shared(folder: Path) -> list[dict[str, Path]]:
    """The parts of each shared folder, by name; folders beside `folder` come before this project's own."""
    folders = {other.name: other for place in (ROOT / "config", folder / "..") for other in sorted(place.glob("_*/"))}
    return [_files(Path(os.path.normpath(other))) for other in folders.values()]


def _split(name: str, firsts: Collection[str], others: Collection[str]) -> list[str]:
    """`name` as one of `firsts` and any number of `others`, longer ones preferred; or nothing."""
    for part in sorted(firsts, key=len, reverse=True):
        if name == part:
            return [part]
        if name.startswith(f"{part}-") and (rest := _split(name[len(part) + 1 :], others, others)):
            return [part, *rest]
    return []
