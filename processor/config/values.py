"""Values as YAML gives them, made what a type hint asks for.

`coerce` is strict: text is no number and true is no number, but a whole number may stand for a fraction, and
a single value for a list of one. Where text is wanted, `yes` and `1e3` are text as they were written.
"""

from __future__ import annotations

import math
import os
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from data_gen.common.command_line import expand
from graph.common.files import ROOT
from graph.common.words import did_you_mean
from graph.common.yaml_text import Scalar, plain

NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
NAMES |= {type(None): "null", dict: "a mapping", Mapping: "a mapping"}
LISTS = (list, tuple, Sequence)
LARGEST = 2**63 - 1  # what torch and numpy take
MISFIT = object()


def coerce(value: Any, hint: Any, *, key: str = "") -> Any:
    """`value`, as YAML gave it for `key`, as the resolved type hint asks for; hints that are not simple take anything.

    Raises:
        ValueError: it does not fit; the message is the rest of a sentence that names the key.
    """
    is_path = Path in get_args(hint) or _is_path(key)
    written = _as_written(value)
    for form in (written,) if hint is Any and is_path else (plain(value), written):
        for candidate in (form,) if isinstance(form, list | dict | None) else (form, [form]):
            if (fitted := _fit(candidate, hint)) is not MISFIT:
                return _with_paths(fitted, is_path)
    near = did_you_mean(value, _choices(hint)) if isinstance(value, str) and len(value) < 100 else ""
    text = repr(plain(value))
    shown = text if len(text) <= 200 else f"{text[:60]}... ({len(text)} characters)"
    raise ValueError(f"{shown} must be {describe(hint)}{near}")


def shipped(path: Path) -> Path | None:
    """What this project has in the place of `path`, if that begins at `config/`; it need not exist."""
    return ROOT / path if path.parts[:1] == ("config",) and ".." not in path.parts else None


def _is_path(key: str) -> bool:
    """Whether the values of such a key are paths, whatever its type hint is."""
    return key in ("resume", "path", "folder") or key.endswith(("_path", "_folder"))


def _as_written(value: Any, *, item: bool = False) -> Any:
    """`value` with text for every scalar; null is text in a list alone."""
    if isinstance(value, list):
        return [_as_written(each, item=True) for each in value]
    return value.text if isinstance(value, Scalar) and (item or value.value is not None) else plain(value)


def _with_paths(value: Any, is_path: bool) -> Any:
    """`value` with the texts that are paths `_located`."""
    if isinstance(value, dict):
        return {name: _with_paths(item, _is_path(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_with_paths(item, is_path) for item in value)
    return _located(value) if isinstance(value, str) and is_path else value


def _located(path: str) -> str:
    """`path` with `~` and `$NAME` replaced; a missing file of `config/` becomes the project's own."""
    path = expand(path)
    ours = None if os.path.exists(path) else shipped(Path(path))
    return str(ours) if ours and ours.is_file() else path


def _fit(value: Any, hint: Any) -> Any:
    """`value` converted to `hint`, or `MISFIT`."""
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, types.UnionType):
        return next((fit for arg in args if (fit := _fit(value, arg)) is not MISFIT), MISFIT)
    if origin is Literal:
        return value if any(type(value) is type(arg) and value == arg for arg in args) else MISFIT
    if origin in LISTS:
        if not isinstance(value, list) or (_has_length(hint) and len(args) != len(value)):
            return MISFIT
        hints = args if _has_length(hint) else [args[0] if args else Any] * len(value)
        items = [_fit(item, arg) for item, arg in zip(value, hints, strict=True)]
        return MISFIT if MISFIT in items else tuple(items) if origin is tuple else items
    if type(value) is int and origin in (int, float) and abs(value) > LARGEST:
        raise ValueError(f"{value} is too large a number")
    if origin is float and type(value) in (int, float):
        if not math.isfinite(value):
            raise ValueError(f"{value!r} must be a finite number")
        return float(value)
    if origin is Path and type(value) is str:
        return Path(_located(value))
    if origin is dict and args and args[1] is not Any:
        if not isinstance(value, dict):
            return MISFIT
        entries = value if (get_origin(args[1]) or args[1]) is dict else flat(value)
        fitted = {name: _fit(x, args[1]) for name, x in entries.items()}
        return MISFIT if MISFIT in fitted.values() else fitted
    kind = dict if origin is Mapping else origin
    return value if origin not in NAMES or type(value) is kind else MISFIT


def flat(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping whose keys may hold dots, as the command line nests them: {a: {b: 1}} is {a.b: 1}."""
    named: dict[str, Any] = {}
    for name, value in mapping.items():
        below = flat(value) if isinstance(value, dict) else {}
        named |= {f"{name}.{key}": item for key, item in below.items()} or {name: value}
    return named


def _has_length(hint: Any) -> bool:
    """Whether a hint is a tuple of a given length."""
    return get_origin(hint) is tuple and ... not in get_args(hint)


def _choices(hint: Any) -> list[str]:
    """The texts that the `Literal`s of a hint allow."""
    if get_origin(hint) is Literal:
        return [choice for choice in get_args(hint) if isinstance(choice, str)]
    return [choice for arg in get_args(hint) for choice in _choices(arg)]


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
