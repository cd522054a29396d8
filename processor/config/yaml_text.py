"""YAML as configurations have it: mappings that know their lines, scalars that know how they were written.

It is read through PyYAML's safe loader, bounded, with these deviations: `1e-4` is a number (YAML 1.1 wants `1.0e-4`),
duplicate keys are a problem, keys are text as written, there are no dates or numbers to the base 60 or 8, and no
tags but those of null, truth values, numbers, text, lists and mappings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any, ClassVar

import yaml
from yaml.constructor import ConstructorError

from graph.common.bounded_yaml import BoundedLoader, told
from processor.config.check import Scalar

COMMAND_LINE = "command line"
LONGEST_KEY = 200


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


class Loader(BoundedLoader):
    """PyYAML's safe loader with the deviations above; duplicate keys go to `problems`."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own attributes, filled below
    yaml_constructors: ClassVar[dict[Any, Any]] = {}

    def __init__(self, text: str, place: str, problems: list[str]) -> None:
        super().__init__(text)
        self.place, self.problems = place, problems

    def where(self, node: yaml.Node) -> str:
        return self.place if self.place == COMMAND_LINE else f"{self.place}:{node.start_mark.line + 1}"

    def section(self, node: yaml.MappingNode) -> Iterator[Section]:
        """Construct a mapping; in two steps, as PyYAML does, for the sake of anchors."""
        section = Section()
        yield section
        if not isinstance(node, yaml.MappingNode):
            raise ConstructorError(problem="a mapping is expected", problem_mark=node.start_mark)
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConstructorError(problem="a key must be text", problem_mark=key.start_mark)
            if len(key.value) > LONGEST_KEY:
                problem = f"a key of {len(key.value)} characters; {LONGEST_KEY} are the most"
                raise ConstructorError(problem=problem, problem_mark=key.start_mark)
            if first.setdefault(key.value, key) is not key:
                line = first[key.value].start_mark.line + 1
                self.problems.append(f"{self.where(key)}: duplicate key {key.value!r}, first on line {line}")
        self.flatten_mapping(node)
        for key, value in node.value:
            section.set(key.value, self.construct_object(value, deep=True), place=self.where(key))

    def scalar(self, node: yaml.ScalarNode) -> Scalar:
        """Construct null, a truth value or a number."""
        text, kind = str(self.construct_scalar(node)), node.tag.rpartition(":")[2]
        if not re.fullmatch(_PATTERNS[kind][0], text):
            raise ConstructorError(problem=f"{text[:60]!r} is no {kind}", problem_mark=node.start_mark)
        if kind == "int":
            return Scalar(text, int(text) if len(text) <= 40 else text)  # longer ones are numbers of nothing
        if kind == "float":
            return Scalar(text, float(re.sub(r"\.(?=[in])", "", text.lower())))
        return Scalar(text, None if kind == "null" else text.lower() in ("true", "yes", "on"))


_PATTERNS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"(?i:true|false|yes|no|on|off)", list("tfynoTFYNO")),
    "int": (r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    "float": (
        r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(?i:inf)|\.(?i:nan)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}
for _kind, (_pattern, _first) in _PATTERNS.items():
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"({_pattern})\Z"), _first)
    if _kind != "merge":
        Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", Loader.scalar)
for _kind, _constructor in (
    ("str", Loader.construct_scalar),
    ("seq", Loader.construct_yaml_seq),
    ("map", Loader.section),
):
    Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _constructor)
Loader.yaml_constructors[None] = Loader.construct_undefined


def load(text: str, place: str, problems: list[str]) -> Any:
    """What a document holds; duplicate keys in it go to `problems`.

    Raises:
        YamlError: it is none.
    """
    with told():
        return Loader(text, place, problems).get_single_data()


def load_word(word: str, problems: list[str]) -> Any:
    """A word of the command line by the rules of YAML; without brackets, braces or quotes a scalar.

    Raises:
        YamlError: it is no YAML.
    """
    with told():
        loader = Loader(word, COMMAND_LINE, problems)
        if word.startswith(("[", "{", '"', "'")):
            return loader.get_single_data()
        return loader.construct_object(yaml.ScalarNode(loader.resolve(yaml.ScalarNode, word, (True, False)), word))


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads back: the same rules say which text needs quotes."""

    yaml_implicit_resolvers = Loader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def show_text(self, value: str) -> yaml.Node:
        style = (
            '"' if re.search("[\r\x85\u2028\u2029]", value) else "|" if "\n" in value else None
        )  # or YAML folds them
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    def show_list(self, value: Sequence[Any]) -> yaml.Node:
        return self.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)

    def show_path(self, value: PurePath) -> yaml.Node:
        text = value.as_posix()
        return self.show_text(f"./{text}" if text.startswith("~") else text)  # it was expanded, and is not to be again


Dumper.add_representer(str, Dumper.show_text)
Dumper.add_representer(list, Dumper.show_list)
Dumper.add_representer(tuple, Dumper.show_list)
Dumper.add_multi_representer(PurePath, Dumper.show_path)


def dump(value: Any) -> str:
    """`value` as YAML text, keys in their order."""
    text = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text[:-4] if text.endswith("\n...\n") else text  # the end mark after a bare value
