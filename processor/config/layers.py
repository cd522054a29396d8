"""Reading a configuration: YAML files, the files that `_base_` names in them, and the command line.

Layers merge mapping by mapping. `_delete_` drops what a mapping inherits: `_delete_: [a, b.c]` these keys,
`_delete_: true` everything, so that the mapping is replaced.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_gen.common.command_line import expand
from graph.common.bounded_yaml import YamlError, read_text
from graph.common.files import ROOT, beginning
from graph.common.words import did_you_mean
from graph.common.yaml_text import COMMAND_LINE, LONGEST_KEY, Section, load, load_word, plain
from processor.config.values import coerce, shipped
from processor.config.variants import choices, known, variant

BASE, DELETE = "_base_", "_delete_"
DOCUMENTED = Path("config/nturgbd/train.yaml")  # what `python main.py` alone takes
MOST_FILES = 50  # that a configuration is put together from

log = logging.getLogger(__name__)


def merge(base: Section, over: Section, problems: list[str] | None = None) -> Section:
    """`base` overridden by `over`: mappings merge at every depth, anything else is replaced.

    Args:
        problems: gets what `_delete_` names in vain. None: `_delete_` is kept, for the layers below are not known yet.
    """
    merged = Section()
    if problems is not None and DELETE in over:
        base = _without(base, over[DELETE], over.places[DELETE], problems)
    for layer in (base, over):
        for key, value in layer.items():
            if key == DELETE and problems is not None:
                continue
            if isinstance(value, Section):
                below = merged.get(key)
                value = merge(below if isinstance(below, Section) else Section(), value, problems)
            merged.set(key, value, place=layer.places[key])
    return merged


def overlaid(layers: Sequence[Section]) -> Section:
    """All layers merged. A `_delete_` of an absent key is no problem: a layer below these may hold the key."""
    section = Section()
    for layer in layers:
        section = merge(section, layer, [])
    return section


def _without(base: Section, written: Any, place: str, problems: list[str]) -> Section:
    """A copy of `base` that lacks the keys that `_delete_` names."""
    try:
        names = coerce(written, bool | list[str])
    except ValueError as misfit:
        problems.append(f"{place}: {DELETE}: {misfit}")
        return base
    if names is True and not base:
        problems.append(f"{place}: {DELETE}: nothing is inherited here")
    rest = Section() if names is True else merge(Section(), base)
    for name in names if isinstance(names, list) else []:
        *above, last = name.split(".")
        section: Any = rest
        for key in above:
            section = section.get(key) if isinstance(section, Section) else None
        if isinstance(section, Section) and last in section:
            del section[last], section.places[last]
        else:
            near = did_you_mean(last, section) if isinstance(section, Section) else ""
            problems.append(f"{place}: {DELETE}: no key {name!r} is inherited here{near}")
    return rest


def find_file(name: str | None, problems: list[str]) -> Path | None:
    """The file that `--config` names, in the working directory or else in the project's own `config/`."""
    if name is None:
        log.info("no --config is given; reading %s", ROOT / DOCUMENTED)
        return ROOT / DOCUMENTED
    try:
        path = Path(expand(name))
    except ValueError as error:
        problems.append(f"{COMMAND_LINE}: --config: {error}")
        return None
    file = present(path)
    if file != path:
        log.info("%s has no %s; reading %s", Path.cwd(), path, file)
    return file


def present(path: Path, written: Path | None = None) -> Path:
    """`path`, or (`written` in a file) what the project's `config/` has where neither file nor variant exists."""
    places = [place for place in (path, shipped(written or path)) if place]
    return next((place for exists in (os.path.exists, variant) for place in places if exists(place)), path)


class Reader:
    """Reads files, each after the files that it builds on."""

    def __init__(self, problems: list[str]) -> None:
        self.layers: list[Section] = []  # what was read, in this order
        self.complete = True  # whether all files could be read
        self.problems, self._count = problems, 0

    def read(self, path: Path, chain: tuple[Path, ...] = ()) -> None:
        """Adds the layers of `path`, which the last file of `chain` names as its base."""
        self._count += 1
        earlier = (*chain, path)
        if path.resolve() in [file.resolve() for file in chain]:
            self.problems.append(f"{chain[-1]}: {BASE} goes in a circle: {' -> '.join(map(str, earlier))}")
            return
        if self._count > MOST_FILES:
            if self.complete:
                self.problems.append(f"{chain[-1]}: {BASE}: more than {MOST_FILES} files build on each other")
            self.complete = False
            return
        bases = [] if os.path.exists(path) else variant(path)
        section = Section() if bases else self._file(path, f", the {BASE} of {chain[-1]}" if chain else "")
        for base in bases or self._bases(section, path.parent):
            self.read(base, earlier)
        self.layers.append(section)

    def _file(self, path: Path, asked: str) -> Section:
        """The content of a file; an empty section, and a problem, where it cannot be read."""
        try:
            value = load(read_text(path), str(path), self.problems)
            if isinstance(value, Section):
                return value
            content = "an empty file" if plain(value) is None else type(plain(value)).__name__
            problem = f": `key: value` lines are expected, not {content}"
        except OSError as error:
            near = did_you_mean(path.name, [name for place in (path, shipped(path)) if place for name in known(place)])
            problem = f": {error.strerror or error}{near}{'' if asked else beginning(path)}"
        except YamlError as error:
            problem = f": {error.problem}{choices(path) if path.is_dir() else ''}"
            asked = f":{error.line}{asked}" if error.line else asked
        self.complete = False
        self.problems.append(f"{path}{asked}{problem}")
        return Section()

    def _bases(self, section: Section, folder: Path) -> list[Path]:
        """The files that a section of a file in `folder` names as its bases; they are no longer in it."""
        if BASE not in section:
            return []
        place, written = section.places.pop(BASE), section.pop(BASE)
        bases = []
        for item in written if isinstance(written, list) else [written]:
            name = getattr(item, "text", item)
            try:
                if not isinstance(name, str) or plain(item) is None:
                    raise ValueError(f"{plain(item)!r} must be the name of a file, or a list of them")
                base = Path(expand(name))
                bases.append(present(Path(os.path.normpath(folder / base)), written=base))
            except ValueError as error:
                self.complete = False
                self.problems.append(f"{place}: {BASE}: {error}")
        return bases


def read_command_line(argv: Sequence[str], problems: list[str]) -> tuple[str | None, Section]:
    """The `--config` file, and the other options as one section; of options given twice the last counts."""
    file, overrides = None, Section()
    options: list[tuple[str, list[str]]] = []
    for word in argv:
        if re.search("[\ud800-\udfff]", word):
            problems.append(f"{COMMAND_LINE}: {word!r} is no text in this locale's encoding; name it otherwise")
            word = re.sub("[\ud800-\udfff]", "?", word)
        if re.match(r"--[A-Za-z_]", word):
            key, equals, text = word[2:].partition("=")
            first, dot, inner = key.partition(".")
            first = first.replace("-", "_")  # and names of arguments; other names, as of models, keep their hyphens
            key = first + dot + (inner.replace("-", "_") if first.endswith("_args") else inner)
            options.append((key, [text] if equals else []))
        elif options and not word.startswith("--"):
            options[-1][1].append(word)
        else:
            problems.append(f"{COMMAND_LINE}: {word!r} belongs to no option; options open with `--` and a name")
    for key, words in options:
        if key == "config" and len(words) == 1:
            file = words[0]
        elif key == "config":
            problems.append(f"{COMMAND_LINE}: --config wants one file, not {len(words)}")
        elif len(key) > LONGEST_KEY or key.count(".") > 9:
            problems.append(f"{COMMAND_LINE}: --{key[:60]}...: no key is so long")
        elif None not in (values := [_read_word(word, problems) for word in words] or [True]):
            value: Any = values if len(values) > 1 else values[0]
            for name in reversed(key.split(".")):
                outer = Section()
                outer.set(name, value, place=COMMAND_LINE)
                value = outer
            overrides = merge(overrides, value)
    return file, overrides


def _read_word(word: str, problems: list[str]) -> Any:
    """What a word of the command line says, or None and a problem."""
    try:
        return load_word(word, problems)
    except YamlError as error:
        problems.append(f"{COMMAND_LINE}: {word if len(word) <= 60 else f'{word[:60]}...'!r} is {error.problem}")
        return None
