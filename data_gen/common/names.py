"""Where files lie: every file below a folder, links followed, and names matched as people write them.

A list names files otherwise than a disk does: in another Unicode form (macOS takes `ü` apart), letter case, without the
suffix or with another, with a leading folder or without. `match` pairs what can be paired without a guess, and says of
everything else why not.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from graph.common.words import did_you_mean, plural


class Match(NamedTuple):
    """Names in a list, and what they are on the disk."""

    paired: dict[str, str]  # the disk's name by the list's
    differs: dict[str, str]  # in which respect they differ, where they do
    problems: dict[str, str]  # why there is none, by the list's name

    def note(self, listed_in: str) -> list[str]:
        """Sentences about names that were paired although they differ."""
        notes = []
        for what, count in Counter(self.differs.values()).items():
            name = next(name for name, how in self.differs.items() if how == what)
            differ = "differs" if count == 1 else "differ"
            example = f"{name} is {self.paired[name]}"
            notes.append(f"{plural(count, 'name')} in {listed_in} {differ} in {what} from the disk ({example})")
        return notes


def walk(folder: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """Every folder below a folder, itself first, in order; links are followed, but not back to a folder `above`.

    Of a folder that is absent there are none.
    """
    real = os.path.realpath(folder)
    if folder.is_dir() and real not in above:
        yield folder
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.name.startswith("."):
                yield from walk(path, (*above, real))


def files_below(folder: Path) -> dict[str, Path]:
    """Every file below a folder by its name relative to it (`s01/walk.csv`), in order; hidden ones are left out."""
    files = {}
    for inner in walk(folder):
        for path in sorted(inner.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                files[path.relative_to(folder).as_posix()] = path
    return files


def nfc(name: str) -> str:
    """A name in one Unicode form, with slashes, without a leading `./`."""
    return PurePosixPath(unicodedata.normalize("NFC", name.replace("\\", "/"))).as_posix()


def _fold(name: str) -> str:
    return nfc(name).casefold()


def _stem(name: str) -> str:
    return re.sub(r"\.[a-z][a-z0-9]{0,9}$", "", _fold(name))


def _last(name: str) -> str:
    return _fold(name).rpartition("/")[2]


_Key = Callable[[str], str]
# in what names differ; what is equal, on the disk and listed
_STEPS: tuple[tuple[str, _Key, tuple[_Key, ...]], ...] = (
    ("", str, (str,)),
    ("Unicode form", nfc, (nfc,)),
    ("letter case", _fold, (_fold,)),
    ("suffix", _stem, (_stem, _fold)),  # `walk.v2` may be `walk.v2.csv`
    ("leading folder", _last, (_last,)),
    ("leading folder and suffix", lambda name: _stem(_last(name)), (lambda name: _stem(_last(name)), _last)),
)


def match(listed: Iterable[str], on_disk: Iterable[str]) -> Match:
    """Pair the names of a list with those on the disk, the most alike first; none is paired twice or by guess."""
    on_disk = list(on_disk)
    open_names, result = list(dict.fromkeys(listed)), Match({}, {}, {})
    taken: set[str] = set()
    for what, key_on_disk, keys in _STEPS:
        index: dict[str, list[str]] = {}
        for name in on_disk if open_names else ():
            index.setdefault(key_on_disk(name), []).append(name)
        rest: list[str] = []
        wanted: dict[str, list[str]] = {}  # the names that each name on the disk could be
        for name in open_names:
            alike = next((index[key(name)] for key in keys if key(name) in index), [])
            same_folder = [hit for hit in alike if "folder" not in what or _is_tail(name, hit)]
            hits = [hit for hit in same_folder if hit not in taken]
            if len(hits) == 1:
                wanted.setdefault(hits[0], []).append(name)
            elif hits:
                result.problems[name] = f"{' and '.join(sorted(hits)[:3])} differ from it in {what} alone; name one"
            elif same_folder:
                result.problems[name] = f"{same_folder[0]} is named by another line already"
            elif alike and what == "leading folder":
                result.problems[name] = f"{alike[0]} lies in another folder"
            else:
                rest.append(name)
        for hit, names in wanted.items():
            if len(names) == 1:
                result.paired[names[0]] = hit
                taken.add(hit)
                if what:
                    result.differs[names[0]] = what
            else:
                lines = " and ".join(names[:3])
                result.problems.update(dict.fromkeys(names, f"{lines} could all be {hit}; give its own name"))
        open_names = rest
    for number, name in enumerate(open_names):
        near = did_you_mean(name, on_disk) if number < 20 and len(on_disk) <= 20_000 else ""
        result.problems[name] = near.strip(" ()?").replace("did you mean", "the nearest is")
    return result


def _is_tail(a: str, b: str) -> bool:
    """Whether the folders of one name are the last ones of the other."""
    a_parts, b_parts = (nfc(name).casefold().split("/")[:-1] for name in (a, b))
    shorter, longer = sorted((a_parts, b_parts), key=len)
    return longer[len(longer) - len(shorter) :] == shorter
