"""YAML of files that are not trusted: bytes, nesting and aliases are limited before an object is made of them.

The whole project reads YAML with `BoundedLoader`, inside `yaml_errors`. Nodes are counted with all that their aliases
stand for: ten lines of aliases of aliases are as many nodes as a disk has bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

MAX_BYTES = 1 << 20  # a resolved configuration with 400 class names has 0.02 MB
MAX_DEPTH = 30  # mappings and lists inside each other; a configuration has about 5
MAX_NODES = 20_000  # values, lists and mappings


class YamlError(ValueError):
    """What is wrong with a text, in words that go on after the file's name, and on which line (from 1)."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line
        self.where = f", line {line}" if line else ""  # behind the file's name


class BoundedLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses what is too deep or too large; use it inside `yaml_errors`."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_BYTES:
            raise YamlError(f"longer than {MAX_BYTES >> 20} MB")
        super().__init__(text)
        self._depth = self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        is_alias, mark = self.check_event(yaml.AliasEvent), self.peek_event().start_mark
        self._enter(mark)
        node = super().compose_node(parent, index)
        if is_alias and node is not None:
            self._count(node, mark)
        self._depth -= 1
        return node

    def _count(self, node: yaml.Node, mark: yaml.Mark) -> None:
        """Counts what is in a node that an alias at `mark` stands for, as if it were written there."""
        if node.end_mark is None:
            raise yaml.MarkedYAMLError(problem="this alias stands inside what it stands for", problem_mark=mark)
        for part in node.value if isinstance(node, yaml.CollectionNode) else ():
            for child in part if isinstance(part, tuple) else (part,):
                self._enter(mark)
                self._count(child, mark)
                self._depth -= 1

    def _enter(self, mark: yaml.Mark) -> None:
        self._depth, self._nodes = self._depth + 1, self._nodes + 1
        if self._depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=mark)
        if self._nodes > MAX_NODES:
            what = f"more than {MAX_NODES} values, counting what aliases (*name) stand for"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=mark)

    def compose_scalar_node(self, anchor: dict[str, yaml.Node]) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if bad := re.search("[\0\ud800-\udfff]", node.value):
            problem = f"text holds the character {bad[0]!r}, which no file or name can hold"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return node


@contextmanager
def yaml_errors() -> Iterator[None]:
    """Whatever PyYAML raises inside becomes a `YamlError`."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = str(error.problem or error.context)
        hint = " (indent by blanks, not tabs)" if r"'\t'" in problem else ""
        raise YamlError(f"not valid YAML: {problem}{hint}", mark.line + 1 if mark else None) from error
    except YamlError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # ValueError: an escape beyond Unicode
        raise YamlError(f"not valid YAML: {str(error).splitlines()[0]}") from error


def read_text(path: Path) -> str:
    """The text of a YAML file, UTF-8 or, with a byte order mark, UTF-16.

    Raises:
        OSError: it cannot be read.
        YamlError: it is no regular file, too large, or in another encoding.
    """
    if path.exists() and not path.is_file():
        raise YamlError("this is a folder" if path.is_dir() else "this is no regular file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise YamlError(f"longer than {MAX_BYTES >> 20} MB")
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = None if utf16 else content.count(b"\n", 0, error.start) + 1
        raise YamlError("not text in UTF-8; save it in this encoding", line) from error
