"""Values against type hints, and arguments against signatures.

`coerce` is strict: text is no number and true is no number, but a whole number may stand for a fraction, and
a single value for a list of one. Where text is wanted, `yes` and `1e3` are text as they were written.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
import pkgutil
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from data_gen.common.command_line import expand

ROOT = Path(__file__).resolve().parents[2]


class MisfitError(ValueError):
    """A value does not fit a type hint; the message is the rest of a sentence that names the key."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The words " (did you mean 'x'?)" for the nearest of `known`, capitals aside, or none if none is near."""
    spelling = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), list(spelling), n=1)
    return f" (did you mean {spelling[near[0]]!r}?)" if near else ""


@dataclass(frozen=True)
class Scalar:
    """What stands in YAML without quotes and is null, true, false or a number there.

    Attributes:
        text: how it was written.
        value: what it is.
    """

    text: str
    value: bool | int | float | str | None


def plain(value: Any) -> Any:
    """`value` with every mapping in it a plain dict, and every `Scalar` its value."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.value if isinstance(value, Scalar) else value


def is_path(key: str) -> bool:
    """Whether the values of such a key are paths, whatever its hint is."""
    return key in ("resume", "path", "folder") or key.endswith(("_path", "_folder"))


def shipped(path: str, folder: Path = Path()) -> Path | None:
    """The file of the project's own `config/` that `path`, relative to `folder`, names where there is no such file."""
    relative = Path(path)
    within = relative.parts[:1] == ("config",) and ".." not in relative.parts and relative.suffix == ".yaml"
    return ROOT / relative if within and not (folder / relative).exists() and (ROOT / relative).is_file() else None


def coerce(value: Any, hint: Any, *, key: str = "", low: float = -math.inf, high: float = math.inf) -> Any:
    """`value` as `hint` wants it; hints that are not simple take anything.

    Args:
        value: what YAML gave.
        hint: a resolved type hint.
        key: whose value it is; paths are expanded.
        low, high: the least and the greatest that numbers may be, the numbers of a list too.

    Raises:
        MisfitError: it does not fit.
    """
    fitted = _fit(value, hint, key)
    if fitted is _MISFIT and not isinstance(single := plain(value), list | dict | None):
        fitted = _fit([value if isinstance(value, Scalar) else single], hint, key)
    if fitted is _MISFIT:
        near = did_you_mean(value, _choices(hint)) if isinstance(value, str) and len(value) < 100 else ""
        raise MisfitError(f"{shown(value)} must be {describe(hint)}{near}")
    for number in fitted if isinstance(fitted, list) else [fitted]:
        if isinstance(number, int | float) and not isinstance(number, bool) and not low <= number <= high:
            span = f"at least {low}" if high == math.inf else f"from {low} to {high}"
            raise MisfitError(f"{number!r} must be {span}")
    return fitted


def shown(value: Any) -> str:
    """`value` for a message, cut where it is long."""
    text = repr(plain(value))
    return text if len(text) <= 200 else f"{text[:60]}... ({len(text)} characters)"


_MISFIT = object()
_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
_NAMES |= {type(None): "null", dict: "a mapping", Mapping: "a mapping"}
_LARGEST = 2**63 - 1  # what torch and numpy take


def _fit(value: Any, hint: Any, key: str = "", *, item: bool = False) -> Any:
    """`value`, the item of a list or not, converted to `hint`, or `_MISFIT`."""
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, types.UnionType):
        key = "path" if Path in args else key
        forms = [value.value, value] if isinstance(value, Scalar) else [value]  # a number that may be one is one
        fits = (_fit(form, arg, key, item=item) for form in forms for arg in args)
        return next((fit for fit in fits if fit is not _MISFIT), _MISFIT)
    if isinstance(value, Scalar) and origin in (Literal, list, tuple, Sequence, *_NAMES):
        if origin in (str, Path) or (origin is Literal and value.text in args):
            return _MISFIT if value.value is None and not item else _fit(value.text, hint, key)
        value = value.value
    if origin is Literal:
        return value if any(type(value) is type(arg) and value == arg for arg in args) else _MISFIT
    if origin in (list, tuple, Sequence):
        if not isinstance(value, list) or (_is_fixed(hint) and len(args) != len(value)):
            return _MISFIT
        hints = args if _is_fixed(hint) else [args[0] if args else Any] * len(value)
        items = [_fit(each, one, key, item=True) for each, one in zip(value, hints, strict=True)]
        return _MISFIT if _MISFIT in items else tuple(items) if origin is tuple else items
    if origin in (dict, Mapping):
        return _settle(value, key) if isinstance(value, dict) else _MISFIT
    if type(value) is int and origin in (int, float) and abs(value) > _LARGEST:
        raise MisfitError(f"{shown(value)} is too large a number")
    if origin is float and type(value) in (int, float):
        if not math.isfinite(value):
            raise MisfitError(f"{value!r} must be a finite number")
        return float(value)
    if origin in (str, Path) and type(value) is str:
        return origin(_expand(value) if origin is Path or is_path(key) else value)
    if origin in _NAMES:
        return value if type(value) is origin else _MISFIT
    return _settle(value, key)


def _settle(value: Any, key: str) -> Any:
    """`value` as nothing is known about it but its key: `plain`, and paths as text, expanded."""
    if isinstance(value, dict):
        return {name: _settle(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_settle(item, key) for item in value]
    if isinstance(value, Scalar):
        value = value.text if is_path(key) and type(value.value) in (int, float) else value.value
    return _expand(value) if is_path(key) and isinstance(value, str) else value


def _expand(path: str) -> str:
    try:
        path = expand(path)
    except ValueError as error:
        raise MisfitError(str(error)) from error
    return str(shipped(path) or path)


def _is_fixed(hint: Any) -> bool:
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
    if origin in (list, tuple, Sequence):
        items = dict.fromkeys(describe(arg) for arg in args if arg is not ...)
        count = f"{len(args)} " if _is_fixed(hint) else ""
        inner = " or ".join(f"{item[2:]}s" if item.startswith("a ") else item for item in items)
        return f"a list of {count}{inner}" if inner else "a list"
    return _NAMES.get(origin, getattr(origin, "__name__", str(origin)))


def check_call(
    target: Any, args: Mapping[str, Any], *, idle: Sequence[str] = ()
) -> tuple[dict[str, Any], list[tuple[str, str]], list[str]]:
    """Compare keyword arguments with a signature, calling nothing.

    Args:
        target: a class or a function.
        args: the keyword arguments that it would get.
        idle: names to leave out quietly where the signature does not take them.

    Returns:
        The arguments that fit, converted; problems as (argument, sentence); the idle arguments left out.
    """
    name = f"{target.__module__}.{target.__qualname__}"
    target = getattr(target, "Options", target)  # a model's schema
    parameters = inspect.signature(target).parameters
    hints = _hints(target, parameters)
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    named = {key: p for key, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    good, problems, dropped = {}, [], []
    for key, value in args.items():
        if key in named or takes_all:
            try:
                good[key] = coerce(value, hints.get(key, Any) if key in named else Any, key=key)
            except MisfitError as misfit:
                problems.append((key, str(misfit)))
        elif key in idle:
            dropped.append(key)
        else:
            problems.append((key, f"{name} takes no such argument{did_you_mean(key, named)}"))
    for key, parameter in named.items():
        if parameter.default is parameter.empty and key not in args:
            problems.append((key, f"{name} needs this argument"))
    return good, problems, dropped


def _hints(target: Any, parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """The type hints of parameters; none at all if they name what only a type checker imports."""
    function = target.__init__ if inspect.isclass(target) else target
    written = {key: p.annotation for key, p in parameters.items() if p.annotation is not p.empty}
    try:
        return get_type_hints(types.SimpleNamespace(__annotations__=written), getattr(function, "__globals__", {}))
    except (NameError, AttributeError, TypeError):
        return {}


def import_object(path: str) -> Any:
    """The object at an import path such as `model.st_tr.Model`.

    Raises:
        ValueError: there is none.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in path.split(".")):
        raise ValueError(f"{path!r} is no import path such as 'model.st_tr.Model'")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        missing = error.name or ""
        if not f"{module_name}.".startswith(f"{missing}."):  # the module was found, what it imports was not
            raise ValueError(f"{path!r}: importing {module_name} failed: {error}") from error
        parent, _, last = missing.rpartition(".")
        folders = getattr(importlib.import_module(parent), "__path__", []) if parent else [str(ROOT)]
        known = [module.name for module in pkgutil.iter_modules(folders)]
        raise ValueError(f"{path!r}: there is no module {missing!r}{did_you_mean(last, known)}") from None
    if not hasattr(module, name):
        raise ValueError(f"{path!r}: {module_name} has no {name!r}{did_you_mean(name, vars(module))}")
    return getattr(module, name)
