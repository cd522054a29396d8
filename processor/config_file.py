"""Reading a configuration: YAML files with line numbers, their `_base_` files, and the command line.

YAML is read through PyYAML's safe loader, with four deviations: `1e-4` is a number (YAML 1.1 wants `1.0e-4`),
duplicate keys are a problem, keys are text as written, and there are no dates or numbers to the base 60 or 8.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

import yaml

from processor.config_check import did_you_mean

COMMAND_LINE = "command line"
BASE = "_base_"


class Section(dict[str, Any]):
    """A mapping of a configuration that knows where each key was written.

    Attributes:
        places: key -> "FILE:LINE" or "command line".
    """

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, str] = {}

    def set(self, key: str, value: Any, *, place: str) -> None:
        self[key] = value
        self.places[key] = place


def merge(base: Section, over: Section) -> Section:
    """`base` overridden by `over`: mappings merge at every depth, anything else is replaced."""
    merged = Section()
    for layer in (base, over):
        for key, value in layer.items():
            if isinstance(value, Section) and isinstance(below := merged.get(key), Section):
                value = merge(below, value)
            merged.set(key, value, place=layer.places[key])
    return merged


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the deviations above; duplicate keys go to `problems`."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own attribute, filled below

    def __init__(self, text: bytes | str, place: str, problems: list[str]) -> None:
        super().__init__(text)
        self.place, self.problems = place, problems

    def where(self, node: yaml.Node) -> str:
        return self.place if self.place == COMMAND_LINE else f"{self.place}:{node.start_mark.line + 1}"

    def section(self, node: yaml.MappingNode) -> Iterator[Section]:
        """Construct a mapping; in two steps, as PyYAML does, for the sake of anchors."""
        section = Section()
        yield section
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(problem="a key must be text", problem_mark=key.start_mark)
            if first.setdefault(key.value, key) is not key:
                line = first[key.value].start_mark.line + 1
                self.problems.append(f"{self.where(key)}: duplicate key {key.value!r}, first on line {line}")
        self.flatten_mapping(node)
        for key, value in node.value:
            section.set(key.value, self.construct_object(value, deep=True), place=self.where(key))


_FLOAT = r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?|[-+]?\.(?i:inf)|\.(?i:nan)"
Loader.add_constructor("tag:yaml.org,2002:map", Loader.section)
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"(?i:true|false|yes|no|on|off)", list("tfynoTFYNO")),
    ("int", r"[-+]?(0|[1-9]\d*)", list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"({_pattern})\Z"), _first)


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads back: the same rules say which text needs quotes."""

    yaml_implicit_resolvers = Loader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def show_text(self, value: str) -> yaml.Node:
        return self.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    def show_list(self, value: Sequence[Any]) -> yaml.Node:
        return self.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)


Dumper.add_representer(str, Dumper.show_text)
Dumper.add_representer(list, Dumper.show_list)
Dumper.add_representer(tuple, Dumper.show_list)
Dumper.add_multi_representer(PurePath, lambda dumper, path: dumper.show_text(path.as_posix()))


def dump(value: Any) -> str:
    """`value` as YAML text, keys in their order."""
    text = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text[:-4] if text.endswith("\n...\n") else text  # the end mark after a bare value


def read_layers(path: Path, problems: list[str], *, chain: tuple[Path, ...] = ()) -> list[Section | None]:
    """The contents of a file's bases, in order and each after its own bases, then the file's own.

    A file that cannot be read gives None and a problem.
    """
    section = _read_file(path, problems, asked_by=chain[-1] if chain else None)
    bases = section.pop(BASE, []) if section is not None else []
    layers: list[Section | None] = []
    for base in bases if isinstance(bases, list) else [bases]:
        below = Path(os.path.normpath(path.parent / str(base)))
        earlier = (*chain, path)
        if below.resolve() in [file.resolve() for file in earlier]:
            circle = " -> ".join(str(file) for file in (*earlier, below))
            problems.append(f"{path}: {BASE} goes in a circle: {circle}")
        else:
            layers += read_layers(below, problems, chain=earlier)
    return [*layers, section]


def _read_file(path: Path, problems: list[str], *, asked_by: Path | None) -> Section | None:
    try:
        value = Loader(path.read_bytes(), str(path), problems).get_single_data()
    except OSError as error:
        near = did_you_mean(path.name, [file.name for file in path.parent.glob("*.yaml")])
        asked = f", the {BASE} of {asked_by}" if asked_by else ""
        problems.append(f"{path}{asked}: {error.strerror or error}{near}")
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.append(f"{path}:{mark.line + 1 if mark else '?'}: not valid YAML: {error.problem or error.context}")
        return None
    except yaml.YAMLError as error:
        problems.append(f"{path}: not valid YAML: {str(error).splitlines()[0]}")
        return None
    if value is None:
        return Section()
    if not isinstance(value, Section):
        problems.append(f"{path}: `key: value` lines are expected, not {type(value).__name__}")
        return None
    return value


def read_command_line(argv: Sequence[str], problems: list[str]) -> tuple[str | None, Section]:
    """The `--config` file, and the other options as one section; of options given twice the last counts."""
    file, overrides = None, Section()
    options: list[tuple[str, list[str]]] = []
    for word in argv:
        if re.match(r"--[A-Za-z_]", word):
            key, equals, text = word[2:].partition("=")
            options.append((key.replace("-", "_"), [text] if equals else []))
        elif options:
            options[-1][1].append(word)
        else:
            problems.append(f"{COMMAND_LINE}: {word!r} belongs to no option; options open with `--`")
    for key, words in options:
        if key == "config" and len(words) == 1:
            file = words[0]
        elif key == "config":
            problems.append(f"{COMMAND_LINE}: --config wants one file, not {len(words)}")
        else:
            values = [_read_word(word, problems) for word in words] or [True]
            overrides = merge(overrides, _nested(key.split("."), values if len(values) > 1 else values[0]))
    return file, overrides


def _read_word(word: str, problems: list[str]) -> Any:
    """A word of the command line by the rules of YAML; without brackets, braces or quotes a scalar."""
    loader = Loader(word, COMMAND_LINE, problems)
    try:
        if word.startswith(("[", "{", '"', "'")):
            return loader.get_single_data()
        return loader.construct_object(yaml.ScalarNode(loader.resolve(yaml.ScalarNode, word, (True, False)), word))
    except yaml.YAMLError as error:
        problems.append(f"{COMMAND_LINE}: {word!r} is not valid YAML: {getattr(error, 'problem', None) or error}")
        return None


def _nested(keys: Sequence[str], value: Any) -> Section:
    """{a: {b: value}} of the keys (a, b)."""
    section = Section()
    section.set(keys[0], _nested(keys[1:], value) if keys[1:] else value, place=COMMAND_LINE)
    return section
