"""A user's own skeleton, from a YAML file: `graph: graph.custom.Graph`, `graph_args: {path: my_skeleton.yaml}`.

    name: UTKinect                       # what messages call it
    joints: [hip center, spine, ...]     # in the order of the V axis
    bones: [[hip center, spine], ...]    # pairs of names, or of numbers from 0, in any order and direction
    center: spine

Bones make a tree. Breadth-first search from the centre directs them: a bone's parent is its joint nearer to the centre.
The file is composed, not constructed, so no tag in it makes an object, and every value is text as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from graph.common.bounded_yaml import BoundedLoader, YamlError, read_text, yaml_errors
from graph.common.words import did_you_mean
from graph.tools import Skeleton, SkeletonGraph

KEYS = ("name", "joints", "bones", "center")


class Graph(SkeletonGraph):
    """`Graph("my_skeleton.yaml", labeling_mode="spatial")`: `A` (K, V, V); errors as `load_skeleton`."""

    def __init__(self, path: str | Path, labeling_mode: str = "spatial") -> None:
        self.skeleton = load_skeleton(path)
        super().__init__(labeling_mode)


def load_skeleton(path: str | Path) -> Skeleton:
    """The skeleton in a YAML file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no skeleton; the message names everything that is wrong with it, by line.
    """
    path = Path(path)
    problems = _Problems()
    skeleton = _skeleton(_compose(path), problems)
    if skeleton is None:
        raise ValueError("\n  ".join([f"{path} describes no skeleton:", *problems]))
    return skeleton


def skeleton_text(skeleton: Skeleton) -> str:
    """The text of a file from which `load_skeleton` reads a skeleton of this name, these joints and these bones."""
    bones = [(child, parent) for child, parent in enumerate(skeleton.parents) if child != parent]
    content = {
        "name": skeleton.name,
        "joints": list(skeleton.joints),
        "bones": [[skeleton.joints[child], skeleton.joints[parent]] for child, parent in bones],
        "center": skeleton.joints[skeleton.root],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=4000)


class _Problems(list[str]):
    """What is wrong with a file, in sentences."""

    def at(self, node: yaml.Node, text: str) -> None:
        self.append(f"line {node.start_mark.line + 1}: {text}")


def _compose(path: Path) -> yaml.Node | None:
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: there is no such skeleton file; relative paths begin at {Path.cwd()} "
            "(docs/own_skeletons.md shows a skeleton)"
        )
    try:
        text = read_text(path)
        with yaml_errors():
            return yaml.compose(text, Loader=BoundedLoader)
    except YamlError as error:
        raise ValueError(f"{path}{error.where}: {error.problem}") from error


def _skeleton(root: yaml.Node | None, problems: _Problems) -> Skeleton | None:
    """The skeleton, or None and problems."""
    if not isinstance(root, yaml.MappingNode):
        problems.append(f"lines of the form `key: value` are expected, with the keys {', '.join(KEYS)}")
        return None
    fields = _fields(root, problems)
    name, root_name = (_text(fields[key], key, problems) if key in fields else None for key in ("name", "center"))
    joints = _joints(fields["joints"], problems) if "joints" in fields else []
    if not joints:
        return None  # without joints nothing else can be checked
    center = _find(root_name, fields["center"], joints, problems) if root_name else None
    bones = _bones(fields["bones"], joints, problems) if "bones" in fields else {}
    parents, apart = _hang(bones, len(joints), center or 0)
    for (a, b), node in bones.items():
        if parents[a] != b and parents[b] != a:
            problems.at(node, f"bones: {_shown(node)} closes a circle; leave out one of the circle's bones")
    if apart and not problems:
        names = ", ".join(repr(joints[joint]) for joint in apart)
        problems.at(fields["bones"], f"bones: none joins these to the centre {root_name!r}: {names}")
    return None if problems else Skeleton(str(name), tuple(joints), tuple(parents))


def _fields(root: yaml.MappingNode, problems: _Problems) -> dict[str, yaml.Node]:
    """The values by their keys, as far as these are known."""
    fields: dict[str, yaml.Node] = {}
    for key, value in root.value:
        word = key.value if isinstance(key, yaml.ScalarNode) else "?"
        if word not in KEYS:
            problems.at(key, f"unknown key {word!r}{did_you_mean(word, KEYS)}")
        elif word in fields:
            problems.at(key, f"the key {word} is given twice")
        else:
            fields[word] = value
    problems += [f"the key {key} is missing" for key in KEYS if key not in fields]
    return fields


def _text(node: yaml.Node, what: str, problems: _Problems) -> str | None:
    text = node.value.strip() if isinstance(node, yaml.ScalarNode) else ""
    if not text:
        problems.at(node, f"{what} must be text")
    return text or None


def _items(node: yaml.Node, what: str, problems: _Problems) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    problems.at(node, f"{what} must be a list")
    return []


def _joints(node: yaml.Node, problems: _Problems) -> list[str]:
    lines: dict[str, int] = {}
    for item in _items(node, "joints", problems):
        name = _text(item, "a joint's name", problems)
        if name in lines:
            problems.at(item, f"joints: {name!r} is listed on line {lines[name]} already")
        elif name:
            lines[name] = item.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and not node.value:
        problems.at(node, "joints: there are none")
    return list(lines)


def _bones(node: yaml.Node, joints: list[str], problems: _Problems) -> dict[tuple[int, int], yaml.Node]:
    """The bones, as pairs of numbers in order of size, with where they were written."""
    bones: dict[tuple[int, int], yaml.Node] = {}
    for item in _items(node, "bones", problems):
        ends = item.value if isinstance(item, yaml.SequenceNode) else []
        if len(ends) != 2 or not all(isinstance(end, yaml.ScalarNode) for end in ends):
            problems.at(item, "a bone must be a pair of joints, such as [neck, head]")
            continue
        a, b = (_find(end.value.strip(), end, joints, problems) for end in ends)
        if a is None or b is None:
            continue
        pair = (min(a, b), max(a, b))
        if a == b:
            problems.at(item, f"bones: {_shown(item)} joins a joint to itself")
        elif pair in bones:
            line = bones[pair].start_mark.line + 1
            problems.at(item, f"bones: {_shown(item)} joins what a bone on line {line} joins already")
        else:
            bones[pair] = item
    return bones


def _find(word: str, node: yaml.Node, joints: Sequence[str], problems: _Problems) -> int | None:
    """The number of the joint that is called `word`, or has this number, or None and a problem."""
    if word in joints:
        return joints.index(word)
    if re.fullmatch(r"\d{1,6}", word, re.ASCII):
        if int(word) < len(joints):
            return int(word)
        problems.at(node, f"there is no joint {word}; {len(joints)} joints count from 0 to {len(joints) - 1}")
    else:
        problems.at(node, f"there is no joint {word!r}{did_you_mean(word, joints)}")
    return None


def _hang(bones: Iterable[tuple[int, int]], num_point: int, center: int) -> tuple[list[int], list[int]]:
    """The parent of each joint, breadth-first from `center`; and the joints that it does not reach."""
    near: list[list[int]] = [[] for _ in range(num_point)]
    for a, b in bones:
        near[a].append(b)
        near[b].append(a)
    parents: dict[int, int] = {}
    reached = 0
    for root in (center, *range(num_point)):
        queue = [] if root in parents else [root]
        parents.setdefault(root, root)
        for joint in queue:
            for other in near[joint]:
                if other not in parents:
                    parents[other] = joint
                    queue.append(other)
        reached = reached or len(parents)
    return [parents[joint] for joint in range(num_point)], list(parents)[reached:]


def _shown(bone: yaml.Node) -> str:
    return "[" + ", ".join(end.value for end in bone.value) + "]"
