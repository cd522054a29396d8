"""Reading a configuration: YAML files, their `_base_` files, and the command line.

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
from processor.config.check import ROOT, MisfitError, coerce, did_you_mean, plain, shipped
from processor.config.yaml_text import COMMAND_LINE, LONGEST_KEY, Section, load, load_word

BASE, DELETE = "_base_", "_delete_"
DOCUMENTED = Path("config/nturgbd/train.yaml")  # what `python main.py` alone takes
MOST_FILES = 50  # that a configuration is put together from

log = logging.getLogger(__name__)


def merge(base: Section, over: Section, problems: list[str] | None = None) -> Section:
    """`base` overridden by `over`: mappings merge at every depth, anything else is replaced.

    Args:
        problems: gets what `_delete_` names in vain; None: `_delete_` is kept, for the layers below are not known yet.
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


def _without(base: Section, written: Any, place: str, problems: list[str]) -> Section:
    """A copy of `base` that lacks the keys that `_delete_` names."""
    try:
        names = coerce(written, bool | list[str])
    except MisfitError as misfit:
        problems.append(f"{place}: {DELETE}: {misfit}")
        return base
    if names is False:
        return base
    if names is True:
        if not base:
            problems.append(f"{place}: {DELETE}: nothing is inherited here")
        return Section()
    rest = merge(Section(), base)
    for name in names:
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
        path = expand(name)
    except ValueError as error:
        problems.append(f"{COMMAND_LINE}: --config: {error}")
        return None
    if own := shipped(path):
        log.info("%s has no %s; reading %s", Path.cwd(), path, own)
    return own or Path(path)


def read_layers(path: Path, problems: list[str]) -> list[Section | None]:
    """The contents of a file's bases, in order and each after its own bases, then the file's own.

    A file that cannot be read gives None and a problem.
    """
    layers: list[Section | None] = []
    _add_layers(path, (), layers, problems)
    return layers


def _add_layers(path: Path, chain: tuple[Path, ...], layers: list[Section | None], problems: list[str]) -> None:
    """Adds the layers of `path`, which the last file of `chain` names as its base."""
    section = _read_file(path, problems, asked_by=chain[-1] if chain else None)
    for base in _bases(section, problems):
        if base is None:
            layers.append(None)
            continue
        below = shipped(base, path.parent) or Path(os.path.normpath(path.parent / base))
        earlier = (*chain, path)
        if below.resolve() in [file.resolve() for file in earlier]:
            circle = " -> ".join(str(file) for file in (*earlier, below))
            problems.append(f"{path}: {BASE} goes in a circle: {circle}")
        elif max(len(layers), len(chain)) >= MOST_FILES:
            if None not in layers:
                problems.append(f"{path}: {BASE}: more than {MOST_FILES} files build on each other")
            layers.append(None)
            return
        else:
            _add_layers(below, earlier, layers, problems)
    layers.append(section)


def _bases(section: Section | None, problems: list[str]) -> list[str | None]:
    """The files that a section names as its bases, None for what is no name; they are no longer in it."""
    if section is None or BASE not in section:
        return []
    place, bases = section.places.pop(BASE), section.pop(BASE)
    found: list[str | None] = []
    for base in bases if isinstance(bases, list) else [bases]:
        name = getattr(base, "text", base)
        try:
            if not isinstance(name, str) or plain(base) is None:
                raise ValueError(f"{plain(base)!r} must be the name of a file, or a list of them")
            found.append(expand(name))
        except ValueError as error:
            problems.append(f"{place}: {BASE}: {error}")
            found.append(None)
    return found


def _read_file(path: Path, problems: list[str], *, asked_by: Path | None) -> Section | None:
    asked = f", the {BASE} of {asked_by}" if asked_by else ""
    try:
        value = load(read_text(path), str(path), problems)
    except OSError as error:
        near = did_you_mean(path.name, [file.name for file in path.parent.glob("*.yaml")])
        begin = "" if path.is_absolute() or asked_by else f"; relative paths begin at {Path.cwd()}"
        problems.append(f"{path}{asked}: {error.strerror or error}{near}{begin}")
        return None
    except YamlError as error:
        problems.append(f"{path}{f':{error.line}' if error.line else ''}{asked}: {error.problem}")
        return None
    if not isinstance(value, Section):
        found = "an empty file" if plain(value) is None else type(plain(value)).__name__
        problems.append(f"{path}{asked}: `key: value` lines are expected, not {found}")
        return None
    return value


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
            options.append((key.replace("-", "_"), [text] if equals else []))
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
            overrides = merge(overrides, _nested(key.split("."), values if len(values) > 1 else values[0]))
    return file, overrides


def _read_word(word: str, problems: list[str]) -> Any:
    """What a word of the command line says, or None and a problem."""
    try:
        return load_word(word, problems)
    except YamlError as error:
        short = word if len(word) <= 60 else f"{word[:60]}..."
        problems.append(f"{COMMAND_LINE}: {short!r} is {error.problem}")
        return None


def _nested(keys: Sequence[str], value: Any) -> Section:
    """{a: {b: value}} of the keys (a, b)."""
    section = Section()
    section.set(keys[0], _nested(keys[1:], value) if keys[1:] else value, place=COMMAND_LINE)
    return section
