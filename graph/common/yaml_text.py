"""The YAML of configurations: mappings that know their lines, and scalars that know how they were written.

A text is composed by `BoundedLoader`, and the values are made of its nodes here, so that no tag makes an object. This
differs from YAML 1.1: `1e-4` is a number (YAML wants `1.0e-4`), a duplicate key is a problem, keys are text as written,
there are no dates, no numbers to the base 60 or 8, and no tags but those of scalars, lists and mappings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import yaml

from graph.common.bounded_yaml import BoundedLoader, yaml_errors

COMMAND_LINE = "command line"
LONGEST_KEY = 200
TAG = "tag:yaml.org,2002:"
PATTERNS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"(?i:true|false|yes|no|on|off)",
    "int": r"[-+]?(0|[1-9][0-9]*)",
    "float": r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(?i:inf)|\.(?i:nan)",
    "merge": r"<<",
}


@dataclass(frozen=True)
class Scalar:
    """What stands in YAML without quotes and is null, true, false or a number there."""

    text: str  # how it was written
    value: bool | int | float | str | None  # what it is


def plain(value: Any) -> Any:
    """`value` with every mapping in it a plain dict, and every `Scalar` its value."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.value if isinstance(value, Scalar) else value


class Section(dict[str, Any]):
    """A mapping of a configuration that knows where each key was written."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, str] = {}  # key -> "FILE:LINE" or "command line"

    def set(self, key: str, value: Any, *, place: str) -> None:
        self[key] = value
        self.places[key] = place


class Loader(BoundedLoader):
    """Composes nodes whose tags follow `PATTERNS`, and makes values of them; duplicate keys go to `problems`."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own attribute, filled below

    def __init__(self, text: str, place: str, problems: list[str]) -> None:
        super().__init__(text)
        self.place, self.problems = place, problems

    def value(self, node: yaml.Node) -> Any:
        """A `Section`, a list, a `Scalar` or text."""
        kind = node.tag.removeprefix(TAG)
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self._section(node)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.value(item) for item in node.value]
        if not isinstance(node, yaml.ScalarNode) or kind not in ("null", "bool", "int", "float", "str"):
            raise _error(node, f"the tag {node.tag.replace(TAG, '!!')} cannot stand here")
        text = node.value
        if kind == "str":
            return text
        if not re.fullmatch(PATTERNS[kind], text):
            raise _error(node, f"{text[:60]!r} is no {kind}")
        if kind == "int":
            return Scalar(text, int(text) if len(text) <= 40 else text)  # no key takes a longer number
        if kind == "float":
            return Scalar(text, float(re.sub(r"\.(?=[in])", "", text.lower())))
        return Scalar(text, None if kind == "null" else text.lower() in ("true", "yes", "on"))

    def _section(self, node: yaml.MappingNode) -> Section:
        section, lines, merged = Section(), dict[str, int](), list[yaml.Node]()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _error(key, "a key must be text")
            if len(key.value) > LONGEST_KEY:
                raise _error(key, f"a key of {len(key.value)} characters; {LONGEST_KEY} are the most")
            line = key.start_mark.line + 1
            place = self.place if self.place == COMMAND_LINE else f"{self.place}:{line}"
            if lines.setdefault(key.value, line) != line or key.value in section:
                self.problems.append(f"{place}: duplicate key {key.value!r}, first on line {lines[key.value]}")
            if key.tag == f"{TAG}merge":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            else:
                section.set(key.value, self.value(value), place=place)
        for other in merged:
            inherited = self.value(other)
            if not isinstance(inherited, Section):
                raise _error(other, "<< takes a mapping or a list of mappings")
            for name in [name for name in inherited if name not in section]:
                section.set(name, inherited[name], place=inherited.places[name])
        return section


def _error(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


for _kind, _pattern in PATTERNS.items():
    Loader.add_implicit_resolver(f"{TAG}{_kind}", re.compile(rf"({_pattern})\Z"), None)


def load(text: str, place: str, problems: list[str]) -> Any:
    """The value of a document; duplicate keys in it go to `problems`.

    Raises:
        YamlError: it is not valid.
    """
    with yaml_errors():
        loader = Loader(text, place, problems)
        node = loader.get_single_node()
        return node and loader.value(node)


def load_word(word: str, problems: list[str]) -> Any:
    """A word of the command line by the rules of YAML; without brackets, braces or quotes a scalar.

    Raises:
        YamlError: it is not valid.
    """
    if word.startswith(("[", "{", '"', "'")):
        return load(word, COMMAND_LINE, problems)
    with yaml_errors():
        loader = Loader(word, COMMAND_LINE, problems)
        return loader.value(yaml.ScalarNode(loader.resolve(yaml.ScalarNode, word, (True, False)), word))


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads back: the same rules say which text needs quotes."""

    yaml_implicit_resolvers = Loader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def show_text(self, value: str) -> yaml.Node:
        folded = re.search("[\r\x85\u2028\u2029]", value)  # YAML reads them as line ends, unless they are escaped
        return self.represent_scalar(f"{TAG}str", value, style='"' if folded else "|" if "\n" in value else None)

    def show_list(self, value: Sequence[Any]) -> yaml.Node:
        return self.represent_sequence(f"{TAG}seq", value, flow_style=True)

    def show_path(self, value: PurePath) -> yaml.Node:
        text = value.as_posix()
        return self.show_text(f"./{text}" if text.startswith("~") else text)  # an expanded path is not expanded again


Dumper.add_representer(str, Dumper.show_text)
Dumper.add_representer(list, Dumper.show_list)
Dumper.add_representer(tuple, Dumper.show_list)
Dumper.add_multi_representer(PurePath, Dumper.show_path)


def dump(value: Any) -> str:
    """`value` as YAML text, keys in their order."""
    text = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text[:-4] if text.endswith("\n...\n") else text  # the end mark after a bare value
