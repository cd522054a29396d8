"""Options as typed dataclasses that tell which of their values are wrong, alone or together.

A configuration and the keyword arguments of a model or a feeder are such dataclasses. What reads a configuration asks
for all problems at once (`problems_among`); who makes the object in Python gets them as one `ValueError`.
"""

from __future__ import annotations

import inspect
import math
import sys
import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import Any, ClassVar, get_type_hints

from graph.common.hints import misfits

Problem = tuple[tuple[str, ...], str]  # the keys that it depends on, and the rest of a sentence about the first of them


def option(default: Any, meaning: str = "", *, low: float = -math.inf, high: float = math.inf, **metadata: Any) -> Any:
    """A field of a dataclass with the least and the greatest value that a number, or each of a list, may have."""
    metadata |= {"meaning": meaning, "bounds": (low, high)}
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def default_of(f: Field[Any]) -> Any:
    """The default of a field; None where it has none."""
    if f.default_factory is not MISSING:
        return f.default_factory()
    return None if f.default is MISSING else f.default


def hints_of(schema: Any) -> dict[str, Any]:
    """The type hints of the fields of a dataclass, by name.

    `get_type_hints(schema)` fails: Python 3.10 refuses a `ClassVar` without a type.
    """
    hints: dict[str, Any] = {f.name: f.type for f in fields(schema)}
    for kind in reversed(schema.__mro__):
        named = {name: hint for name, hint in inspect.get_annotations(kind).items() if name in hints}
        hints |= _evaluated(named, getattr(sys.modules.get(kind.__module__), "__dict__", {}))
    return hints


def _evaluated(hints: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """Hints that are text, as `names` of a module mean them."""
    return get_type_hints(types.SimpleNamespace(__annotations__=hints), names)


class Checked:
    """Base of dataclasses that check their values when they are made.

    Raises:
        ValueError: values of other types than the fields, or wrong otherwise, all of them in one message, which
            `OPENING` opens.
    """

    OPENING: ClassVar[str] = ""

    def __post_init__(self) -> None:
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        schema = next(kind for kind in type(self).__mro__ if "__dataclass_fields__" in vars(kind))
        wrong = dict(misfits(values, hints_of(schema)))  # what a subclass annotates besides is no option
        rest = {key: value for key, value in values.items() if key not in wrong}
        wrong |= {keys[0]: text for keys, text in problems_among(type(self), rest, wrong)}
        if wrong:
            raise ValueError(self.OPENING + "; ".join(f"{key}: {text}" for key, text in wrong.items()))

    def problems(self) -> Iterator[Problem]:
        """What is wrong, first with single values and then with combinations."""
        return beyond_bounds(self)


def beyond_bounds(options: Any) -> Iterator[Problem]:
    """The numbers of a dataclass that lie outside the bounds of their `option`."""
    for f in fields(options):
        low, high = f.metadata.get("bounds", (-math.inf, math.inf))
        value = getattr(options, f.name)
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int | float) and not isinstance(number, bool) and not low <= number <= high:
                span = f"at least {low}" if high == math.inf else f"from {low} to {high}"
                yield (f.name,), f"{number!r} must be {span}"


def problems_among(schema: Any, values: Mapping[str, Any], wrong: Collection[str] = ()) -> Iterator[Problem]:
    """The problems of some values of a dataclass with `problems`, the others being its defaults; at most one a key.

    What depends on one of the fields in `wrong`, whose values are wrong already, is left out.
    """
    options, wrong = object.__new__(schema), set(wrong)
    for f in fields(schema):
        object.__setattr__(options, f.name, values[f.name] if f.name in values else default_of(f))
    for keys, text in options.problems():
        if wrong.isdisjoint(keys):
            wrong.add(keys[0])
            yield keys, text


def schema_of(target: Any) -> Any:
    """The dataclass that checks the arguments of a class (its attribute `Options`, or itself), or None.

    A subclass with a constructor of its own has none, unless it brings its own `Options`, too.
    """
    for kind in getattr(target, "__mro__", ()):
        if "Options" in vars(kind) and is_dataclass(kind.Options):
            return kind.Options
        if "__dataclass_fields__" in vars(kind) and hasattr(kind, "problems"):
            return kind
        if "__init__" in vars(kind):
            break
    return None


def parameters(target: Any) -> tuple[dict[str, Any], list[str], bool]:
    """The keyword arguments of a dataclass with `problems`, another class or a function.

    Returns:
        Type hints by name; the names without a default; whether any other name is taken.

    Raises:
        ValueError: the target tells none.
    """
    if schema_of(target) is target:
        required = [f.name for f in fields(target) if f.default is MISSING and f.default_factory is MISSING]
        return hints_of(target), required, False
    try:
        signature = inspect.signature(target).parameters
    except ValueError as error:  # of a class that is written in C
        raise ValueError(f"{target.__module__}.{target.__qualname__} does not tell its arguments") from error
    named = {key: p for key, p in signature.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    hints = {key: p.annotation for key, p in named.items() if p.annotation is not p.empty}
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints = _evaluated(hints, getattr(function, "__globals__", {}))
    except (NameError, AttributeError, TypeError):  # they name what only a type checker imports
        hints = {}
    takes_all = any(p.kind is p.VAR_KEYWORD for p in signature.values())
    options = getattr(target, "Options", None)
    if takes_all and is_dataclass(options):  # a subclass hands the other arguments on
        hints, takes_all = {**parameters(options)[0], **hints}, False
    required = [key for key, p in named.items() if p.default is p.empty]
    return {**dict.fromkeys(named, Any), **hints}, required, takes_all
