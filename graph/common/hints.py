"""Type hints as a check of values: what fits, what does not, and how a hint reads in a sentence."""

from __future__ import annotations

import math
import os
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
NAMES |= {type(None): "null", dict: "a mapping", Mapping: "a mapping"}
LISTS = (list, tuple, Sequence)
LARGEST = 2**63 - 1  # what torch and numpy take
MISFIT = object()


def fit(value: Any, hint: Any, path: Callable[[str], Path] = Path) -> Any:
    """`value` converted to `hint`, or `MISFIT`.

    Text is no number and true is no number, but a whole number may stand for a fraction.

    Args:
        path: what makes a path of text.

    Raises:
        ValueError: a number that is too large, or not finite.
    """
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, types.UnionType):
        return next((fitted for arg in args if (fitted := fit(value, arg, path)) is not MISFIT), MISFIT)
    if origin is Literal:
        return value if any(type(value) is type(arg) and value == arg for arg in args) else MISFIT
    if origin in LISTS:
        if not isinstance(value, list) or (_has_length(hint) and len(args) != len(value)):
            return MISFIT
        hints = args if _has_length(hint) else [args[0] if args else Any] * len(value)
        items = [fit(item, arg, path) for item, arg in zip(value, hints, strict=True)]
        return MISFIT if MISFIT in items else tuple(items) if origin is tuple else items
    if type(value) is int and origin in (int, float) and abs(value) > LARGEST:
        raise ValueError(f"{value} is too large a number")
    if origin is float and type(value) in (int, float):
        if not math.isfinite(value):
            raise ValueError(f"{value!r} must be a finite number")
        return float(value)
    if origin is Path and type(value) is str:
        return path(value)
    if origin is dict and args and args[1] is not Any:
        if not isinstance(value, dict):
            return MISFIT
        entries = value if (get_origin(args[1]) or args[1]) is dict else flat(value)
        fitted = {name: fit(x, args[1], path) for name, x in entries.items()}
        return MISFIT if MISFIT in fitted.values() else fitted
    kind = dict if origin is Mapping else origin
    return value if origin not in NAMES or type(value) is kind else MISFIT


def misfits(values: Mapping[str, Any], hints: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys whose values, as Python gives them, do not fit, and the rest of a sentence about each."""
    for key, value in values.items():
        try:
            if fit(_simple(value), hints[key]) is MISFIT:
                yield key, f"{value!r:.200} must be {describe(hints[key])}"
        except ValueError as error:
            yield key, str(error)


def _simple(value: Any) -> Any:
    """A value of Python or numpy as YAML would give it."""
    if isinstance(value, Mapping):
        return {key: _simple(item) for key, item in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    value = value.tolist() if hasattr(value, "tolist") else value
    return [_simple(item) for item in value] if isinstance(value, list | tuple | range) else value


def flat(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping whose keys may hold dots, as the command line nests them: {a: {b: 1}} is {a.b: 1}."""
    named: dict[str, Any] = {}
    for name, value in mapping.items():
        below = flat(value) if isinstance(value, dict) else {}
        named |= {f"{name}.{key}": item for key, item in below.items()} or {name: value}
    return named


def choices(hint: Any) -> list[str]:
    """The texts that the `Literal`s of a hint allow."""
    if get_origin(hint) is Literal:
        return [choice for choice in get_args(hint) if isinstance(choice, str)]
    return [choice for arg in get_args(hint) for choice in choices(arg)]


def describe(hint: Any) -> str:
    """A type hint in words."""
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(arg) for arg in args)
    if origin is Literal:
        return " or ".join(repr(arg) for arg in args)
    if origin in LISTS:
        items = dict.fromkeys(describe(arg) for arg in args if arg is not ...)
        count = f"{len(args)} " if _has_length(hint) else ""
        inner = " or ".join(f"{item[2:]}s" if item.startswith("a ") else item for item in items)
        return f"a list of {count}{inner}" if inner else "a list"
    if origin is dict and args and args[1] is not Any:
        return f"a mapping to {describe(args[1]).removeprefix('a ')}s"
    return NAMES.get(origin, getattr(origin, "__name__", str(origin)))


def _has_length(hint: Any) -> bool:
    """Whether a hint is a tuple of a given length."""
    return get_origin(hint) is tuple and ... not in get_args(hint)
